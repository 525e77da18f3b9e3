"""A combo box whose items stand for values."""

from .step import value_of


class Menu:
    """The items of a combo box, each a value with the text that is shown for it."""

    def __init__(self, comboBox, items, changed):
        """items: (value, text) in their order; changed: called without arguments when another item is current."""
        self._comboBox = comboBox
        self._values = []
        for value, text in items:
            self._add(value, text)
        comboBox.currentIndexChanged.connect(lambda: changed())

    @property
    def value(self):
        """The value of the current item."""
        return self._values[value_of(self._comboBox.currentIndex)]

    def show(self, value):
        """Make the item of a value the current one; a value that a script has set becomes an item of its own."""
        if value not in self._values:
            self._add(value, value)
        self._comboBox.setCurrentIndex(self._values.index(value))

    def _add(self, value, text):
        self._values.append(value)
        self._comboBox.addItem(text)
