"""The trabecular region of interest of one body: erosion in millimetres, central layers, venous zone, findings left out."""
