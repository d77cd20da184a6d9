//! The methods that exist, so that a caller cannot invent labels for the metrics.

use std::collections::HashMap;
use std::sync::OnceLock;

use latentwire_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::FileDescriptorSet;

/// Service and method of a call to something that does not exist.
const UNKNOWN: (&str, &str) = ("unknown", "unknown");

/// Service and method of a path `/package.Service/Method`, or `unknown` twice.
pub(super) fn of_path(path: &str) -> (&'static str, &'static str) {
    static METHODS: OnceLock<HashMap<String, (&'static str, &'static str)>> = OnceLock::new();
    METHODS.get_or_init(methods).get(path).copied().unwrap_or(UNKNOWN)
}

fn methods() -> HashMap<String, (&'static str, &'static str)> {
    let sets = [
        FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut methods = HashMap::new();
    for set in sets {
        let set = FileDescriptorSet::decode(set).expect("generated with the code it describes");
        for file in set.file {
            for service in &file.service {
                // Leaked once a process: a few dozen names that live as long as it does.
                let name: &'static str = format!("{}.{}", file.package(), service.name()).leak();
                for method in &service.method {
                    let method: &'static str = method.name().to_owned().leak();
                    methods.insert(format!("/{name}/{method}"), (name, method));
                }
            }
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_has_its_name_and_nothing_else_has_one() {
        for (path, expected) in [
            ("/latentwire.v1.SendService/SendImage", ("latentwire.v1.SendService", "SendImage")),
            ("/latentwire.v1.TransferService/Session", ("latentwire.v1.TransferService", "Session")),
            ("/grpc.health.v1.Health/Watch", ("grpc.health.v1.Health", "Watch")),
            ("/latentwire.v1.SendService/Invented", UNKNOWN),
            ("latentwire.v1.SendService/SendImage", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(of_path(path), expected, "{path}");
        }
    }
}
