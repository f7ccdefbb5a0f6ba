# SPDX-License-Identifier: Apache-2.0
"""Downloads URLs as huggingface_hub used hf_transfer, with its numbers: hfTransfer.py DESTINATION URL..."""
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import hf_transfer

MAX_WORKERS = 8
CHUNK_BYTES = 10 * 1024 * 1024


def download(url):
    path = os.path.join(sys.argv[1], os.path.basename(url))
    hf_transfer.download(url=url, filename=path, max_files=128, chunk_size=CHUNK_BYTES, parallel_failures=127, max_retries=5)


with ThreadPoolExecutor(MAX_WORKERS) as pool:
    list(pool.map(download, sys.argv[2:]))
