//! `latentwire` as a child process, and what it is given in these tests.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// What a run answered.
#[derive(Debug)]
pub struct Ran {
    pub exit: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The JSON objects on standard output, one a line.
    #[track_caller]
    pub fn objects(&self) -> Vec<Value> {
        let object =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}\n{self:?}"));
        self.out.lines().map(object).collect()
    }

    /// The only JSON object on standard output.
    #[track_caller]
    pub fn object(&self) -> Value {
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "{self:?}");
        objects.remove(0)
    }
}

/// The program, without the settings of whoever runs the tests.
pub fn latentwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latentwire"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("LATENTWIRE_")
            || ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "COLUMNS", "ORT_DYLIB_PATH"].contains(&&*text)
        {
            command.env_remove(&name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command line that must end with `exit`.
#[track_caller]
pub fn run(arguments: &[&str], exit: i32) -> Ran {
    ended(latentwire().args(arguments).output().expect("latentwire runs"), arguments, exit)
}

#[track_caller]
pub fn ended(output: Output, arguments: &[&str], exit: i32) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let ran =
        Ran { exit: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
    assert_eq!(ran.exit, exit, "{arguments:?}\n{}\n{}", ran.out, ran.err);
    ran
}

/// The names of an object's fields.
pub fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// A temporary folder.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same as an argument.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path of ASCII letters").to_owned()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folder");
        fs::write(path, content).expect("file");
        self.text(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A key pair; gives the secret file.
    pub fn key(&self, role: &str, name: &str) -> String {
        let file = self.text(name);
        run(&["keys", "generate", "--role", role, "--output", &file], 0);
        file
    }

    /// The names in it, hidden ones too, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("the folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

/// An address of this machine where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has free ports");
    listener.local_addr().expect("bound")
}

/// A grey picture.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let pixels: Vec<u8> =
        (0..width * height).map(|index| u8::try_from(index % 251).expect("below 251")).collect();
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).expect("a picture");
    file
}

/// The root of the checkout.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in a folder of the checkout")
}

/// The tiny models of the codec's tests.
pub fn models() -> PathBuf {
    repository().join("common/codec/tests/models/sound")
}

/// The library that `scripts/fetch-onnxruntime.sh` brought.
pub fn onnxruntime() -> String {
    let entries = fs::read_dir(repository().join(".onnxruntime")).ok().into_iter().flatten();
    let library = entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime"))
    });
    let library = library.expect("ONNX Runtime is missing: run scripts/fetch-onnxruntime.sh");
    library.to_str().expect("a path of ASCII letters").to_owned()
}
