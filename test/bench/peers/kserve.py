# SPDX-License-Identifier: Apache-2.0
"""What KServe's storage initializer does before the server starts: kserve.py URI DESTINATION."""
import sys

from kserve_storage import Storage

if __name__ == "__main__":
    Storage.download(sys.argv[1], sys.argv[2])
