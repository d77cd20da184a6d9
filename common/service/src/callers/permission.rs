//! What a caller may be allowed to do, and which method needs which permission.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a caller may do; the words stand in the callers' file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Send images: SendImage, SendStudy.
    Send,
    /// See how transfers stand: GetTransfer, ListTransfers, WatchTransfers.
    ReadTransfers,
    /// See which models the sender has: ListModels.
    ReadModels,
    /// See which images are there, without their pixels: ListImages, WatchImages.
    List,
    /// Fetch images: GetImage.
    Fetch,
    /// Delete images: DeleteImage.
    Delete,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Send, Self::ReadTransfers, Self::ReadModels, Self::List, Self::Fetch, Self::Delete];

    /// The word in the callers' file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::ReadTransfers => "read-transfers",
            Self::ReadModels => "read-models",
            Self::List => "list",
            Self::Fetch => "fetch",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|permission| permission.name() == text);
        found.ok_or_else(|| {
            format!("{text:?} is no permission: write one of {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}

/// What a method asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing: health, which says SERVING or not and no more, so that probes need no secret.
    Open,
    /// To be known: reflection, which says what the public schema says.
    Known,
    /// This permission.
    Needs(Permission),
    /// Nobody may: the method is not listed here.
    Unlisted,
}

/// The rule of a path `/package.Service/Method`. What is not listed is refused to everybody.
#[must_use]
pub fn rule_of(path: &str) -> Rule {
    use Permission::{Delete, Fetch, List, ReadModels, ReadTransfers, Send};
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return Rule::Unlisted;
    };
    match (service, method) {
        ("grpc.health.v1.Health", "Check" | "List" | "Watch") => Rule::Open,
        (
            "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection",
            "ServerReflectionInfo",
        ) => Rule::Known,
        ("latentwire.v1.SendService", "SendImage" | "SendStudy") => Rule::Needs(Send),
        ("latentwire.v1.SendService", "GetTransfer" | "ListTransfers" | "WatchTransfers") => {
            Rule::Needs(ReadTransfers)
        }
        ("latentwire.v1.SendService", "ListModels") => Rule::Needs(ReadModels),
        ("latentwire.v1.ImageService", "ListImages" | "WatchImages") => Rule::Needs(List),
        ("latentwire.v1.ImageService", "GetImage") => Rule::Needs(Fetch),
        ("latentwire.v1.ImageService", "DeleteImage") => Rule::Needs(Delete),
        _ => Rule::Unlisted,
    }
}

#[cfg(test)]
mod tests {
    use latentwire_proto::FILE_DESCRIPTOR_SET;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// A new method fails here, and is refused to everybody until it has its rule.
    #[test]
    fn every_method_of_the_pacs_facing_services_needs_a_permission() {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("our own schema");
        let mut methods = 0;
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let rule = rule_of(&path);
                    if service.name() == "TransferService" {
                        assert_eq!(rule, Rule::Unlisted, "its peers are the trust store's: {path}");
                    } else {
                        assert!(matches!(rule, Rule::Needs(_)), "{path}: {rule:?}");
                        methods += 1;
                    }
                }
            }
        }
        assert_eq!(methods, 10);
    }

    #[test]
    fn what_is_not_listed_is_nobodys() {
        for path in [
            "",
            "/",
            "/latentwire.v1.SendService",
            "/latentwire.v1.SendService/",
            "latentwire.v1.SendService/SendImage",
            "/latentwire.v1.SendService/SendImage/",
            "/latentwire.v1.SendService/sendimage",
            "/grpc.health.v1.Health/Other",
        ] {
            assert_eq!(rule_of(path), Rule::Unlisted, "{path}");
        }
        assert_eq!(rule_of("/grpc.health.v1.Health/Check"), Rule::Open);
    }

    #[test]
    fn words_are_the_files_words() {
        for permission in Permission::ALL {
            assert_eq!(permission.name().parse(), Ok(permission));
            let word = toml::Value::try_from(permission).expect("a word");
            assert_eq!(word.as_str(), Some(permission.name()));
        }
        assert!("all".parse::<Permission>().expect_err("no such word").contains("read-transfers"));
    }
}
