"""The trabecular region of interest of one body: erosion in millimetres, central layers, venous zone, findings left out."""

#: Share of the body's height that counts as its central layers (paper: "central layers", number not given; qct_facts 1.26).
CENTRAL_FRACTION = 0.5
