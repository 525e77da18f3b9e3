"""Digital patients with known bone density: anatomy, CT physics, phantoms and truth.

Frame: LPS millimetres everywhere; arrays are (z, y, x). A patient is built around the L1
body centre; see `patient.simulate_patient` and `crops.draw_crop` for the two ways in.
"""
