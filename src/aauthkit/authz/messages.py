"""Envoy's authorization messages and gRPC's health messages, as far as we use them; no behaviour.

Field numbers are those of ``envoy.service.auth.v3`` (external_auth.proto, attribute_context.proto),
``envoy.config.core.v3`` (base.proto), ``envoy.type.v3`` (http_status.proto), ``google.rpc`` (status.proto) and
``grpc.health.v1`` (health.proto). What we do not read is left out: protobuf skips unknown fields.
"""

from __future__ import annotations

from aauthkit.authz.wire import declare

_MESSAGES = declare(
    "aauthkit.authz",
    {
        "CheckRequest": {"attributes": (1, "AttributeContext")},
        "AttributeContext": {"request": (4, "Request"), "context_extensions": (10, "map")},
        "Request": {"http": (2, "HttpRequest")},
        "HttpRequest": {
            "id": (1, "string"),
            "method": (2, "string"),
            "headers": (3, "map"),
            "path": (4, "string"),
            "host": (5, "string"),
            "scheme": (6, "string"),
            "size": (9, "int64"),
            "body": (11, "string"),
            "raw_body": (12, "bytes"),
            "header_map": (13, "HeaderMap"),
        },
        "HeaderMap": {"headers": (1, "repeated HeaderValue")},
        "HeaderValue": {"key": (1, "string"), "value": (2, "string"), "raw_value": (3, "bytes")},
        "HeaderValueOption": {"header": (1, "HeaderValue"), "append_action": (3, "int32")},
        "CheckResponse": {
            "status": (1, "Status"),
            "denied_response": (2, "oneof DeniedHttpResponse"),
            "ok_response": (3, "oneof OkHttpResponse"),
            "dynamic_metadata": (4, ".google.protobuf.Struct"),
        },
        "Status": {"code": (1, "int32"), "message": (2, "string")},
        "HttpStatus": {"code": (1, "int32")},
        "DeniedHttpResponse": {
            "status": (1, "HttpStatus"),
            "headers": (2, "repeated HeaderValueOption"),
            "body": (3, "string"),
        },
        "OkHttpResponse": {
            "headers": (2, "repeated HeaderValueOption"),
            "headers_to_remove": (5, "repeated string"),
        },
        "HealthCheckRequest": {"service": (1, "string")},
        "HealthCheckResponse": {"status": (1, "int32")},
    },
)

CheckRequest = _MESSAGES["CheckRequest"]
CheckResponse = _MESSAGES["CheckResponse"]
HealthCheckRequest = _MESSAGES["HealthCheckRequest"]
HealthCheckResponse = _MESSAGES["HealthCheckResponse"]

# HeaderValueOption.HeaderAppendAction
OVERWRITE_IF_EXISTS_OR_ADD = 2

# google.rpc.Code: what Envoy reads is whether it is OK.
OK = 0
PERMISSION_DENIED = 7
UNAUTHENTICATED = 16

# HealthCheckResponse.ServingStatus
SERVING = 1
NOT_SERVING = 2
SERVICE_UNKNOWN = 3
