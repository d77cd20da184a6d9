"""latentwire.v1 out of the checked-in descriptor set of proto/, and the reasons that a status carries (section 12)."""

from pathlib import Path

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.rpc import code_pb2, error_details_pb2, status_pb2

DESCRIPTORS = Path(__file__).parents[3] / "proto/src/gen/descriptor.bin"
SESSION = "/latentwire.v1.TransferService/Session"

_POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
    _POOL.Add(_file)


def message(name: str) -> type:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"latentwire.v1.{name}"))


def number(enum: str, name: str) -> int:
    return _POOL.FindEnumTypeByName(f"latentwire.v1.{enum}").values_by_name[name].number


def name(enum: str, value: int) -> str:
    return _POOL.FindEnumTypeByName(f"latentwire.v1.{enum}").values_by_number[value].name


SessionRequest = message("SessionRequest")
SessionResponse = message("SessionResponse")
MetaRecord = message("MetaRecord")
OpenAckBody = message("OpenAckBody")
NeedExactBody = message("NeedExactBody")
ReceiptBody = message("ReceiptBody")

ACCEPTED, DONE, CONFLICT, REFUSED = (
    number("OpenVerdict", f"OPEN_VERDICT_{verdict}") for verdict in ("ACCEPTED", "DONE", "CONFLICT", "REFUSED")
)
STORED, FAILED = (number("ReceiptStatus", f"RECEIPT_STATUS_{status}") for status in ("STORED", "FAILED"))
MODE = {1: number("Mode", "MODE_LATENT"), 2: number("Mode", "MODE_EXACT"), 3: number("Mode", "MODE_BOUNDED")}

CODES = {
    "VERSION_UNSUPPORTED": "FAILED_PRECONDITION",
    "HANDSHAKE_FAILED": "UNAUTHENTICATED",
    "PEER_NOT_ALLOWED": "PERMISSION_DENIED",
    "PAYLOAD_AUTHENTICATION_FAILED": "DATA_LOSS",
    "STREAM_TRUNCATED": "DATA_LOSS",
    "TRANSFER_TOO_LARGE": "OUT_OF_RANGE",
    "INNER_LAYER_UNSUPPORTED": "INVALID_ARGUMENT",
    "SEGMENTATION_UNSUPPORTED": "INVALID_ARGUMENT",
    "SESSION_EXPIRED": "FAILED_PRECONDITION",
    "INVALID_TENSOR": "INVALID_ARGUMENT",
    "CANCELLED": "CANCELLED",
    "PEER_UNAVAILABLE": "UNAVAILABLE",
}


def status(reason: str) -> status_pb2.Status:
    """A google.rpc.Status with this reason."""
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="latentwire.v1"))
    return status_pb2.Status(code=code_pb2.Code.Value(CODES[reason]), message=reason, details=[detail])


def reason_of(found: status_pb2.Status | None) -> str:
    """The reason in a status, or nothing."""
    info = error_details_pb2.ErrorInfo()
    for detail in found.details if found else []:
        if detail.Unpack(info):
            return info.reason
    return ""
