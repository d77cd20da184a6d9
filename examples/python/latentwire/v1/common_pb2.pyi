import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Modality(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODALITY_UNSPECIFIED: _ClassVar[Modality]
    MODALITY_FUNDUS: _ClassVar[Modality]
    MODALITY_CHEST: _ClassVar[Modality]
    MODALITY_BRAIN: _ClassVar[Modality]
    MODALITY_OTHER: _ClassVar[Modality]

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_LATENT: _ClassVar[Mode]
    MODE_EXACT: _ClassVar[Mode]
    MODE_BOUNDED: _ClassVar[Mode]

class BelowFloor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BELOW_FLOOR_UNSPECIFIED: _ClassVar[BelowFloor]
    BELOW_FLOOR_EXACT: _ClassVar[BelowFloor]
    BELOW_FLOOR_REJECT: _ClassVar[BelowFloor]
    BELOW_FLOOR_SEND_MARKED: _ClassVar[BelowFloor]

class PaddingPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PADDING_POLICY_UNSPECIFIED: _ClassVar[PaddingPolicy]
    PADDING_POLICY_PADME: _ClassVar[PaddingPolicy]
    PADDING_POLICY_FIXED: _ClassVar[PaddingPolicy]
    PADDING_POLICY_NONE: _ClassVar[PaddingPolicy]

class InnerLayer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INNER_LAYER_UNSPECIFIED: _ClassVar[InnerLayer]
    INNER_LAYER_NONE: _ClassVar[InnerLayer]
    INNER_LAYER_CHAOS4: _ClassVar[InnerLayer]

class Segmentation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEGMENTATION_UNSPECIFIED: _ClassVar[Segmentation]
    SEGMENTATION_FIXED: _ClassVar[Segmentation]
    SEGMENTATION_ROW: _ClassVar[Segmentation]

class Mark(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MARK_UNSPECIFIED: _ClassVar[Mark]
    MARK_BELOW_FLOOR: _ClassVar[Mark]
    MARK_DENOISED: _ClassVar[Mark]
    MARK_RESEARCH: _ClassVar[Mark]

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    PURPOSE_PRODUCT: _ClassVar[Purpose]
    PURPOSE_RESEARCH: _ClassVar[Purpose]
    PURPOSE_DENOISING: _ClassVar[Purpose]

class TransferStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSFER_STATUS_UNSPECIFIED: _ClassVar[TransferStatus]
    TRANSFER_STATUS_QUEUED: _ClassVar[TransferStatus]
    TRANSFER_STATUS_SENDING: _ClassVar[TransferStatus]
    TRANSFER_STATUS_DELIVERED: _ClassVar[TransferStatus]
    TRANSFER_STATUS_REJECTED: _ClassVar[TransferStatus]
MODALITY_UNSPECIFIED: Modality
MODALITY_FUNDUS: Modality
MODALITY_CHEST: Modality
MODALITY_BRAIN: Modality
MODALITY_OTHER: Modality
MODE_UNSPECIFIED: Mode
MODE_LATENT: Mode
MODE_EXACT: Mode
MODE_BOUNDED: Mode
BELOW_FLOOR_UNSPECIFIED: BelowFloor
BELOW_FLOOR_EXACT: BelowFloor
BELOW_FLOOR_REJECT: BelowFloor
BELOW_FLOOR_SEND_MARKED: BelowFloor
PADDING_POLICY_UNSPECIFIED: PaddingPolicy
PADDING_POLICY_PADME: PaddingPolicy
PADDING_POLICY_FIXED: PaddingPolicy
PADDING_POLICY_NONE: PaddingPolicy
INNER_LAYER_UNSPECIFIED: InnerLayer
INNER_LAYER_NONE: InnerLayer
INNER_LAYER_CHAOS4: InnerLayer
SEGMENTATION_UNSPECIFIED: Segmentation
SEGMENTATION_FIXED: Segmentation
SEGMENTATION_ROW: Segmentation
MARK_UNSPECIFIED: Mark
MARK_BELOW_FLOOR: Mark
MARK_DENOISED: Mark
MARK_RESEARCH: Mark
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_PRODUCT: Purpose
PURPOSE_RESEARCH: Purpose
PURPOSE_DENOISING: Purpose
TRANSFER_STATUS_UNSPECIFIED: TransferStatus
TRANSFER_STATUS_QUEUED: TransferStatus
TRANSFER_STATUS_SENDING: TransferStatus
TRANSFER_STATUS_DELIVERED: TransferStatus
TRANSFER_STATUS_REJECTED: TransferStatus

class Floors(_message.Message):
    __slots__ = ("min_ssim", "min_local_ssim", "min_psnr_db", "max_abs_error")
    MIN_SSIM_FIELD_NUMBER: _ClassVar[int]
    MIN_LOCAL_SSIM_FIELD_NUMBER: _ClassVar[int]
    MIN_PSNR_DB_FIELD_NUMBER: _ClassVar[int]
    MAX_ABS_ERROR_FIELD_NUMBER: _ClassVar[int]
    min_ssim: float
    min_local_ssim: float
    min_psnr_db: float
    max_abs_error: int
    def __init__(self, min_ssim: _Optional[float] = ..., min_local_ssim: _Optional[float] = ..., min_psnr_db: _Optional[float] = ..., max_abs_error: _Optional[int] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("mode", "floors", "below_floor", "model", "modality", "quantiser_step_percent", "padding", "inner_layer", "segmentation")
    MODE_FIELD_NUMBER: _ClassVar[int]
    FLOORS_FIELD_NUMBER: _ClassVar[int]
    BELOW_FLOOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    QUANTISER_STEP_PERCENT_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    INNER_LAYER_FIELD_NUMBER: _ClassVar[int]
    SEGMENTATION_FIELD_NUMBER: _ClassVar[int]
    mode: Mode
    floors: Floors
    below_floor: BelowFloor
    model: str
    modality: Modality
    quantiser_step_percent: int
    padding: PaddingPolicy
    inner_layer: InnerLayer
    segmentation: Segmentation
    def __init__(self, mode: _Optional[_Union[Mode, str]] = ..., floors: _Optional[_Union[Floors, _Mapping]] = ..., below_floor: _Optional[_Union[BelowFloor, str]] = ..., model: _Optional[str] = ..., modality: _Optional[_Union[Modality, str]] = ..., quantiser_step_percent: _Optional[int] = ..., padding: _Optional[_Union[PaddingPolicy, str]] = ..., inner_layer: _Optional[_Union[InnerLayer, str]] = ..., segmentation: _Optional[_Union[Segmentation, str]] = ...) -> None: ...

class Fidelity(_message.Message):
    __slots__ = ("ssim", "min_local_ssim", "psnr_db", "max_abs_error", "mse")
    SSIM_FIELD_NUMBER: _ClassVar[int]
    MIN_LOCAL_SSIM_FIELD_NUMBER: _ClassVar[int]
    PSNR_DB_FIELD_NUMBER: _ClassVar[int]
    MAX_ABS_ERROR_FIELD_NUMBER: _ClassVar[int]
    MSE_FIELD_NUMBER: _ClassVar[int]
    ssim: float
    min_local_ssim: float
    psnr_db: float
    max_abs_error: int
    mse: float
    def __init__(self, ssim: _Optional[float] = ..., min_local_ssim: _Optional[float] = ..., psnr_db: _Optional[float] = ..., max_abs_error: _Optional[int] = ..., mse: _Optional[float] = ...) -> None: ...

class Certificate(_message.Message):
    __slots__ = ("decoder_digest", "reconstruction_sha256", "runtime_version", "certified")
    DECODER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RECONSTRUCTION_SHA256_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_FIELD_NUMBER: _ClassVar[int]
    decoder_digest: bytes
    reconstruction_sha256: bytes
    runtime_version: str
    certified: bool
    def __init__(self, decoder_digest: _Optional[bytes] = ..., reconstruction_sha256: _Optional[bytes] = ..., runtime_version: _Optional[str] = ..., certified: _Optional[bool] = ...) -> None: ...

class StepTimings(_message.Message):
    __slots__ = ("prepare_ms", "encode_ms", "code_ms", "seal_ms", "transfer_ms", "open_ms", "decode_ms")
    PREPARE_MS_FIELD_NUMBER: _ClassVar[int]
    ENCODE_MS_FIELD_NUMBER: _ClassVar[int]
    CODE_MS_FIELD_NUMBER: _ClassVar[int]
    SEAL_MS_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_MS_FIELD_NUMBER: _ClassVar[int]
    OPEN_MS_FIELD_NUMBER: _ClassVar[int]
    DECODE_MS_FIELD_NUMBER: _ClassVar[int]
    prepare_ms: float
    encode_ms: float
    code_ms: float
    seal_ms: float
    transfer_ms: float
    open_ms: float
    decode_ms: float
    def __init__(self, prepare_ms: _Optional[float] = ..., encode_ms: _Optional[float] = ..., code_ms: _Optional[float] = ..., seal_ms: _Optional[float] = ..., transfer_ms: _Optional[float] = ..., open_ms: _Optional[float] = ..., decode_ms: _Optional[float] = ...) -> None: ...

class ImageSummary(_message.Message):
    __slots__ = ("mode", "model", "modality", "width", "height", "frames", "channels", "bits", "original_bytes", "raw_bytes", "coded_bytes", "sealed_bytes", "fidelity", "measured", "below_floor", "exact_reason", "timings", "format", "inner_layer", "segmentation", "mark", "trials", "quantiser_step")
    MODE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    RAW_BYTES_FIELD_NUMBER: _ClassVar[int]
    CODED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEALED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    BELOW_FLOOR_FIELD_NUMBER: _ClassVar[int]
    EXACT_REASON_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    INNER_LAYER_FIELD_NUMBER: _ClassVar[int]
    SEGMENTATION_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    QUANTISER_STEP_FIELD_NUMBER: _ClassVar[int]
    mode: Mode
    model: str
    modality: Modality
    width: int
    height: int
    frames: int
    channels: int
    bits: int
    original_bytes: int
    raw_bytes: int
    coded_bytes: int
    sealed_bytes: int
    fidelity: Fidelity
    measured: bool
    below_floor: bool
    exact_reason: str
    timings: StepTimings
    format: str
    inner_layer: InnerLayer
    segmentation: Segmentation
    mark: Mark
    trials: int
    quantiser_step: int
    def __init__(self, mode: _Optional[_Union[Mode, str]] = ..., model: _Optional[str] = ..., modality: _Optional[_Union[Modality, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., frames: _Optional[int] = ..., channels: _Optional[int] = ..., bits: _Optional[int] = ..., original_bytes: _Optional[int] = ..., raw_bytes: _Optional[int] = ..., coded_bytes: _Optional[int] = ..., sealed_bytes: _Optional[int] = ..., fidelity: _Optional[_Union[Fidelity, _Mapping]] = ..., measured: _Optional[bool] = ..., below_floor: _Optional[bool] = ..., exact_reason: _Optional[str] = ..., timings: _Optional[_Union[StepTimings, _Mapping]] = ..., format: _Optional[str] = ..., inner_layer: _Optional[_Union[InnerLayer, str]] = ..., segmentation: _Optional[_Union[Segmentation, str]] = ..., mark: _Optional[_Union[Mark, str]] = ..., trials: _Optional[int] = ..., quantiser_step: _Optional[int] = ...) -> None: ...

class TransferError(_message.Message):
    __slots__ = ("code", "reason", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    reason: str
    message: str
    def __init__(self, code: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Transfer(_message.Message):
    __slots__ = ("transfer_id", "destination", "status", "image", "error", "create_time", "update_time", "image_id", "study_group", "sequence")
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    STUDY_GROUP_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    transfer_id: bytes
    destination: str
    status: TransferStatus
    image: ImageSummary
    error: TransferError
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    image_id: bytes
    study_group: str
    sequence: int
    def __init__(self, transfer_id: _Optional[bytes] = ..., destination: _Optional[str] = ..., status: _Optional[_Union[TransferStatus, str]] = ..., image: _Optional[_Union[ImageSummary, _Mapping]] = ..., error: _Optional[_Union[TransferError, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., image_id: _Optional[bytes] = ..., study_group: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...
