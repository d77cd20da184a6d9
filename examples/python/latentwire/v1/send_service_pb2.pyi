from latentwire.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Delivery(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_UNSPECIFIED: _ClassVar[Delivery]
    DELIVERY_WAIT: _ClassVar[Delivery]
    DELIVERY_QUEUED: _ClassVar[Delivery]
DELIVERY_UNSPECIFIED: Delivery
DELIVERY_WAIT: Delivery
DELIVERY_QUEUED: Delivery

class ImageHeader(_message.Message):
    __slots__ = ("destination", "transfer_id", "policy", "delivery", "study_group", "sequence", "file_bytes", "urgent")
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    STUDY_GROUP_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    URGENT_FIELD_NUMBER: _ClassVar[int]
    destination: str
    transfer_id: bytes
    policy: _common_pb2.Policy
    delivery: Delivery
    study_group: str
    sequence: int
    file_bytes: int
    urgent: bool
    def __init__(self, destination: _Optional[str] = ..., transfer_id: _Optional[bytes] = ..., policy: _Optional[_Union[_common_pb2.Policy, _Mapping]] = ..., delivery: _Optional[_Union[Delivery, str]] = ..., study_group: _Optional[str] = ..., sequence: _Optional[int] = ..., file_bytes: _Optional[int] = ..., urgent: _Optional[bool] = ...) -> None: ...

class SendImageRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: ImageHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[ImageHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class SendImageResponse(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _common_pb2.Transfer
    def __init__(self, transfer: _Optional[_Union[_common_pb2.Transfer, _Mapping]] = ...) -> None: ...

class SendStudyRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: ImageHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[ImageHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class SendStudyResponse(_message.Message):
    __slots__ = ("transfer", "bytes_sent", "bytes_total")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    transfer: _common_pb2.Transfer
    bytes_sent: int
    bytes_total: int
    def __init__(self, transfer: _Optional[_Union[_common_pb2.Transfer, _Mapping]] = ..., bytes_sent: _Optional[int] = ..., bytes_total: _Optional[int] = ...) -> None: ...

class GetTransferRequest(_message.Message):
    __slots__ = ("transfer_id", "destination")
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    transfer_id: bytes
    destination: str
    def __init__(self, transfer_id: _Optional[bytes] = ..., destination: _Optional[str] = ...) -> None: ...

class GetTransferResponse(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _common_pb2.Transfer
    def __init__(self, transfer: _Optional[_Union[_common_pb2.Transfer, _Mapping]] = ...) -> None: ...

class ListTransfersRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "statuses")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    statuses: _containers.RepeatedScalarFieldContainer[_common_pb2.TransferStatus]
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., statuses: _Optional[_Iterable[_Union[_common_pb2.TransferStatus, str]]] = ...) -> None: ...

class ListTransfersResponse(_message.Message):
    __slots__ = ("transfers", "next_page_token")
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    transfers: _containers.RepeatedCompositeFieldContainer[_common_pb2.Transfer]
    next_page_token: str
    def __init__(self, transfers: _Optional[_Iterable[_Union[_common_pb2.Transfer, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchTransfersRequest(_message.Message):
    __slots__ = ("destination",)
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    destination: str
    def __init__(self, destination: _Optional[str] = ...) -> None: ...

class WatchTransfersResponse(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _common_pb2.Transfer
    def __init__(self, transfer: _Optional[_Union[_common_pb2.Transfer, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Model(_message.Message):
    __slots__ = ("id", "modality", "family", "decoder_digest", "encoder", "decoder", "certified", "purpose", "differs_here")
    ID_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    DECODER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    DECODER_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    DIFFERS_HERE_FIELD_NUMBER: _ClassVar[int]
    id: str
    modality: _common_pb2.Modality
    family: str
    decoder_digest: bytes
    encoder: bool
    decoder: bool
    certified: bool
    purpose: _common_pb2.Purpose
    differs_here: bool
    def __init__(self, id: _Optional[str] = ..., modality: _Optional[_Union[_common_pb2.Modality, str]] = ..., family: _Optional[str] = ..., decoder_digest: _Optional[bytes] = ..., encoder: _Optional[bool] = ..., decoder: _Optional[bool] = ..., certified: _Optional[bool] = ..., purpose: _Optional[_Union[_common_pb2.Purpose, str]] = ..., differs_here: _Optional[bool] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...
