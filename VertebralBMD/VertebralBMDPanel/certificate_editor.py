"""The certificate of a phantom as a table to edit; its content is checked and saved by VertebralBMDLib.calibration.certificate."""

import qt
from slicer.i18n import tr as _

from VertebralBMDLib.calibration.catalogue import MATERIALS
from VertebralBMDLib.calibration.certificate import certificate_from, save_certificate

from .menu import Menu
from .step import value_of

#: Columns of the table: keys of a rod in the file.
_COLUMNS = ("id", "density_mg_cm3", "water_mg_cm3")


class CertificateEditor:
    """Fields, rods and file of one certificate; started from a known phantom, because its geometry is needed too."""

    def __init__(self, ui, phantom, use):
        """ui: the widgets of the step; phantom: returns the name of the chosen phantom; use: called with the path that was saved."""
        self._ui, self._phantom, self._use = ui, phantom, use
        self._entry = None
        self._material = Menu(ui.certificateMaterialComboBox, [(name, name) for name in MATERIALS], lambda: None)
        self._fields = {"title": ui.certificateTitleEdit, "name": ui.certificateNameEdit, "serial": ui.certificateSerialEdit}
        self._lengths = {"rod_diameter_mm": ui.certificateDiameterSpinBox, "rod_spacing_mm": ui.certificateSpacingSpinBox}
        ui.certificateTable.horizontalHeader().setStretchLastSection(True)
        ui.certificateStartButton.clicked.connect(lambda: self.start())
        ui.certificateAddButton.clicked.connect(lambda: self._addRow({}))
        ui.certificateRemoveButton.clicked.connect(lambda: ui.certificateTable.removeRow(ui.certificateTable.currentRow()))
        ui.certificateSaveButton.clicked.connect(lambda: self.save())
        self._say("")

    def start(self):
        """Fill in the certificate of the chosen phantom."""
        try:
            self._entry = certificate_from(self._phantom())
        except ValueError as error:
            self._say(_("Choose a phantom above to start from: {error}").format(error=error))
            return
        for key, field in self._fields.items():
            field.setText(self._entry.get(key) or "")
        for key, spinBox in self._lengths.items():
            spinBox.setValue(self._entry["geometry"][key])
        self._material.show(self._entry["material"])
        self._ui.certificateTable.setRowCount(0)
        for rod in self._entry["rods"]:
            self._addRow(rod)
        self._say(_("Write in what your certificate says, then save it."))

    def save(self):
        """Check the certificate, save it and use it; what is wrong is said."""
        path = value_of(self._ui.certificatePathEdit.currentPath)
        if self._entry is None:
            self._say(_("Start from a phantom first."))
            return
        if not path:
            self._say(_("Choose a file to save the certificate in, with the ending .json."))
            return
        try:
            phantom = save_certificate(self._edited(), path)
        except (ValueError, OSError) as error:
            self._say(_("Not saved: {error}").format(error=error))
            return
        self._use(path)
        self._say(_("Saved and in use: {title}.").format(title=phantom.title))

    def _edited(self):
        """What the widgets say, as the content of the file; a number that is none stays a text, which is then named."""
        fields = {key: value_of(field.text).strip() for key, field in self._fields.items()}
        lengths = {key: value_of(spinBox.value) for key, spinBox in self._lengths.items()}
        rods = [self._rod(row) for row in range(value_of(self._ui.certificateTable.rowCount))]
        changed = dict(serial=fields.pop("serial") or None, material=self._material.value, rods=rods)
        return self._entry | fields | changed | dict(geometry=self._entry["geometry"] | lengths)

    def _rod(self, row):
        items = [self._ui.certificateTable.item(row, column) for column in range(len(_COLUMNS))]
        texts = {key: item.text().strip() if item else "" for key, item in zip(_COLUMNS, items)}
        name = texts.pop("id")
        return dict(id=name) | {key: _number(text) for key, text in texts.items() if text}

    def _addRow(self, rod):
        table = self._ui.certificateTable
        row = value_of(table.rowCount)
        table.insertRow(row)
        for column, key in enumerate(_COLUMNS):
            table.setItem(row, column, qt.QTableWidgetItem(str(rod.get(key, ""))))

    def _say(self, text):
        self._ui.certificateMessageLabel.setText(text)
        self._ui.certificateMessageLabel.setVisible(bool(text))


def _number(text):
    """The number in a text, also with a decimal comma or a true minus sign; the text itself where there is none."""
    try:
        return float(text.replace(",", ".").replace("−", "-"))
    except ValueError:
        return text
