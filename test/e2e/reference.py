# SPDX-License-Identifier: Apache-2.0
"""Runs the reference implementation's command line again and again in one process: a JSON list of arguments a line in, an exit code a line out."""

import contextlib
import io
import json
import sys

from model_signing._cli import main

for line in sys.stdin:
    code = 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(args=json.loads(line), standalone_mode=True)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1 if end.code else 0
        except Exception:
            code = 1
    print(code, flush=True)
