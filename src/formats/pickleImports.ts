// SPDX-License-Identifier: Apache-2.0
import type { PickleImport } from './finding.ts';

/** Module and name of an import whose name is put together while loading. */
export const COMPUTED = '<computed>';

const words = (text: string): readonly string[] => text.split(/\s+/);

/**
 * What model weights are made of, in the spirit of PyTorch's weights-only loader: constructors of plain data that call nothing they are given.
 * Everything else is dangerous until somebody vouches for it: lists of evil names are never complete.
 */
const ALLOWED: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries({
    collections: 'OrderedDict Counter defaultdict deque',
    builtins: 'bool bytearray bytes complex dict float frozenset int list object range set slice str tuple',
    _codecs: 'encode',
    datetime: 'date datetime time timedelta timezone',
    decimal: 'Decimal',
    torch:
      'Size Tensor device dtype BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage FloatStorage HalfStorage IntStorage LongStorage ShortStorage QInt8Storage QInt32Storage QUInt2x4Storage QUInt4x2Storage QUInt8Storage BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor LongTensor ShortTensor bfloat16 bool complex32 complex64 complex128 float16 float32 float64 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 int8 int16 int32 int64 uint8 uint16 uint32 uint64 qint8 qint32 quint8 quint2x4 quint4x2 bits8 bits16 bits1x8 bits2x4 bits4x2 per_channel_affine per_channel_affine_float_qparams per_channel_symmetric per_tensor_affine per_tensor_symmetric',
    'torch._utils':
      '_rebuild_device_tensor_from_cpu_tensor _rebuild_device_tensor_from_numpy _rebuild_meta_tensor_no_storage _rebuild_parameter _rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor _rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3',
    'torch._tensor': '_rebuild_from_type_v2 Tensor',
    'torch.nn.parameter': 'Parameter',
    'torch.serialization': '_get_layout',
    'torch.storage': 'TypedStorage UntypedStorage _TypedStorage _UntypedStorage',
    numpy:
      'dtype ndarray bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 longdouble complex64 complex128 str_ bytes_ void datetime64 timedelta64',
    'numpy.core.multiarray': '_reconstruct scalar',
    'numpy._core.multiarray': '_reconstruct scalar',
    'numpy.core.numeric': '_frombuffer',
    'numpy._core.numeric': '_frombuffer',
    'joblib.numpy_pickle': 'NumpyArrayWrapper',
  }).map(([module, names]) => [module, new Set(words(names))] as const),
);

/** Python 2's names, which Python 3 translates when it reads protocols 0 to 2. */
const RENAMED: Readonly<Record<string, string>> = { __builtin__: 'builtins' };

/** Judges one import. Dotted names reach through objects (`Tensor.__init__.__globals__`), so only exact names count. */
export function judgeImport(module: string, name: string): PickleImport {
  if (module === COMPUTED || name === COMPUTED) return { module, name, verdict: 'computed' };
  const allowed = ALLOWED.get(Object.hasOwn(RENAMED, module) ? (RENAMED[module] ?? module) : module)?.has(name) === true;
  return { module, name, verdict: allowed ? 'allowed' : 'dangerous' };
}
