"""Label maps as other programs write them: segmentations of 3D Slicer, and NIfTI with a table of names."""

import gzip
import struct

import numpy as np
import SimpleITK as sitk


def segmentation_file(path, layers, segments, spacing=(1.0, 1.0, 2.0), origin=(-20.0, 10.0, 500.0)):
    """A .seg.nrrd as 3D Slicer 5.10 writes it. ``layers``: voxels (z, y, x) of each; ``segments``: (name, label value, layer)
    and, where there are any, tags."""
    many = len(layers) > 1
    entries = []
    for k, (name, value, layer, *tags) in enumerate(segments):
        fields = {"ID": f"s{k}", "LabelValue": value, "Layer": layer, "Name": name, "Tags": "".join(tags)}
        entries += [f"Segment{k}_{field}:={text}" for field, text in fields.items()]
    x, y, z = spacing
    header = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {3 + many}",
        "space: left-posterior-superior",
        "sizes: " + " ".join(map(str, ([len(layers)] if many else []) + list(layers[0].shape[::-1]))),
        "space directions: " + ("none " if many else "") + f"({x},0,0) (0,{y},0) (0,0,{z})",
        "kinds: " + ("list " if many else "") + "domain domain domain",
        "encoding: raw",
        "space origin: (" + ",".join(map(str, origin)) + ")",
        *entries,
        "Segmentation_MasterRepresentation:=Binary labelmap",
    ]
    path.write_bytes("\n".join(header).encode() + b"\n\n" + np.stack(layers, axis=-1).astype(np.uint8).tobytes())
    return path


def nifti_with_table(path, image, names):
    """``image`` with the label table of TotalSegmentator (its nifti_ext_header.py) in the extension of the NIfTI header."""
    plain = path.with_name("plain.nii")
    sitk.WriteImage(image, str(plain))
    content = plain.read_bytes()
    rows = "".join(f'<Label Key="{key}" Red="1.0" Green="0.0" Blue="0.0" Alpha="1"><![CDATA[{name}]]></Label>\n' for key, name in names)
    text = f'<?xml version="1.0" encoding="UTF-8"?> <CaretExtension><VolumeInformation Index="0"><LabelTable>{rows}</LabelTable>'.encode()
    text += b"\0" * (-(len(text) + 8) % 16)
    extension = struct.pack("<ii", len(text) + 8, 0) + text
    whole = content[:108] + struct.pack("<f", 352 + len(extension)) + content[112:348] + b"\1\0\0\0" + extension + content[352:]
    path.write_bytes(gzip.compress(whole) if path.suffix == ".gz" else whole)
    return path
