import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from latentwire.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Image(_message.Message):
    __slots__ = ("image_id", "transfer_id", "peer", "create_time", "image", "verdict", "study_group", "sequence", "stored_bytes")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    STUDY_GROUP_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    image_id: bytes
    transfer_id: bytes
    peer: str
    create_time: _timestamp_pb2.Timestamp
    image: _common_pb2.ImageSummary
    verdict: str
    study_group: str
    sequence: int
    stored_bytes: int
    def __init__(self, image_id: _Optional[bytes] = ..., transfer_id: _Optional[bytes] = ..., peer: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., image: _Optional[_Union[_common_pb2.ImageSummary, _Mapping]] = ..., verdict: _Optional[str] = ..., study_group: _Optional[str] = ..., sequence: _Optional[int] = ..., stored_bytes: _Optional[int] = ...) -> None: ...

class ListImagesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "peer", "study_group")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    STUDY_GROUP_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    peer: str
    study_group: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., peer: _Optional[str] = ..., study_group: _Optional[str] = ...) -> None: ...

class ListImagesResponse(_message.Message):
    __slots__ = ("images", "next_page_token")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[Image]
    next_page_token: str
    def __init__(self, images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetImageRequest(_message.Message):
    __slots__ = ("image_id", "transfer_id")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    image_id: bytes
    transfer_id: bytes
    def __init__(self, image_id: _Optional[bytes] = ..., transfer_id: _Optional[bytes] = ...) -> None: ...

class GetImageResponse(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: GetImageHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[GetImageHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class GetImageHeader(_message.Message):
    __slots__ = ("image", "file_bytes", "file_sha256", "format", "decode_ms")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_SHA256_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DECODE_MS_FIELD_NUMBER: _ClassVar[int]
    image: Image
    file_bytes: int
    file_sha256: bytes
    format: str
    decode_ms: float
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ..., file_bytes: _Optional[int] = ..., file_sha256: _Optional[bytes] = ..., format: _Optional[str] = ..., decode_ms: _Optional[float] = ...) -> None: ...

class WatchImagesRequest(_message.Message):
    __slots__ = ("peer",)
    PEER_FIELD_NUMBER: _ClassVar[int]
    peer: str
    def __init__(self, peer: _Optional[str] = ...) -> None: ...

class WatchImagesResponse(_message.Message):
    __slots__ = ("image",)
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    image: Image
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ...) -> None: ...

class DeleteImageRequest(_message.Message):
    __slots__ = ("image_id",)
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    image_id: bytes
    def __init__(self, image_id: _Optional[bytes] = ...) -> None: ...

class DeleteImageResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
