"""Step 5, Result: the density of every vertebra, the patient's category, and every reason to doubt or withhold it."""

from slicer.i18n import tr as _

from VertebralBMDLib.summary import patient_summary

from .step import Step


class ResultStep(Step):
    """The patient line and the table of the chosen volume's measurement."""

    UI = "ResultStep"
    USABLE_WHILE_RUNNING = True

    def update(self, state):
        """Show the measurement of the chosen volume, and of no other."""
        self.ui.patientLabel.setText(patient_summary(state.document) if state.document else _("This volume has not been measured."))
        self.ui.resultTableView.setVisible(state.tableNode is not None)
        self.ui.resultTableView.setMRMLTableNode(state.tableNode)
        if state.tableNode:
            self.ui.resultTableView.setProperty("transposed", True)  # Without a node the view refuses it.
