"""Stands in for TotalSegmentator: takes the command line of version 2.18, writes the label maps that lie beside it, and what
it was asked and what it saw to run-N.json. Beside it, ``behaviour.json`` says how it behaves. Standard library only."""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
behaviour = json.loads((HERE / "behaviour.json").read_text())

parser = argparse.ArgumentParser()
parser.add_argument("-i", dest="input", type=Path)
parser.add_argument("-o", dest="output", type=Path)
parser.add_argument("-ml", "--ml", action="store_true")
parser.add_argument("-ta", "--task", choices=["total", "vertebrae_body", "vertebrae_pp", "vertebrae_pp_refined"], default="total")
parser.add_argument("-d", "--device", choices=["gpu", "cpu", "mps"], default="gpu")
parser.add_argument("-f", "--fast", action="store_true")
parser.add_argument("-rs", "--roi_subset", nargs="+")
parser.add_argument("--version", action="version", version=behaviour["version"])
options = parser.parse_args()

home = Path(os.environ["TOTALSEG_HOME_DIR"])
runs = len(list(HERE.glob("run-*.json")))
(HERE / f"run-{runs}.json").write_text(
    json.dumps(
        {
            "task": options.task,
            "arguments": sys.argv[1:],
            "multilabel": options.ml,
            "device": options.device,
            "fast": options.fast,
            "roi_subset": options.roi_subset,
            "environment": dict(os.environ),
            "config": json.loads((home / "config.json").read_text()),
            "folder": str(options.input.parent),
            "header": options.input.read_bytes()[:352].decode("latin-1"),
            "pid": os.getpid(),
        }
    )
)
if behaviour.get("hangs"):
    time.sleep(60)
if behaviour.get("fails"):
    print(behaviour["fails"], file=sys.stderr)
    sys.exit(1)
if not behaviour.get("writes_nothing"):
    shutil.copy(HERE / f"{options.task}.nii.gz", options.output)
