//! The gateway before a foreign modality: echoscu and storescu of DCMTK.
//!
//! The tests need DCMTK; scripts/test-gateway.sh brings it where it can and runs them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use latentwire_tests::{
    Gateway, Instance, Link, Receiver, Sender, Workplace, binaries, client, gateway::AE_TITLE,
    process::free_address,
};

/// What a program of DCMTK said, and whether it was content.
#[derive(Debug)]
struct Said {
    content: bool,
    text: String,
}

fn begin(program: &str, arguments: &[&str]) -> Child {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}: run scripts/test-gateway.sh"))
}

fn end(child: Child) -> Said {
    let output = child.wait_with_output().expect("a child can be waited for");
    let text = [output.stdout, output.stderr].concat();
    Said { content: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
}

/// An SCU of DCMTK against a gateway.
fn scu(program: &str, gateway: &Gateway, called: &str, more: &[&str]) -> Child {
    let port = gateway.dicom.port().to_string();
    let target = ["-v", "-to", "60", "-aet", "DCMTK", "-aec", called, "127.0.0.1", &port];
    let flags = more.iter().filter(|word| word.starts_with(['-', '+']));
    let files = more.iter().filter(|word| !word.starts_with(['-', '+']));
    begin(program, &flags.chain(&target).chain(files).copied().collect::<Vec<_>>())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the paths of a test are text")
}

/// A sample in another transfer syntax and under another UID, by DCMTK.
fn transcoded(workplace: &Workplace, program: &str, flags: &[&str], sample: &str, name: &str) -> PathBuf {
    let made = workplace.path(name);
    let source = binaries::sample(sample);
    let said = end(begin(program, &[flags, &[text(&source), text(&made)]].concat()));
    assert!(said.content, "{said:?}");
    made
}

#[test]
#[ignore = "needs DCMTK; scripts/test-gateway.sh brings it where it can and runs this"]
fn echoscu_hears_the_gateway_and_why_it_is_refused() {
    let workplace = Workplace::new();
    let gateway = Gateway::start(&workplace, free_address(), &[]);
    let said = end(scu("echoscu", &gateway, AE_TITLE, &[]));
    assert!(said.content && said.text.contains("Received Echo Response (Success)"), "{said:?}");
    let said = end(scu("echoscu", &gateway, "OTHER", &[]));
    assert!(!said.content && said.text.contains("Called AE Title Not Recognized"), "{said:?}");
}

#[test]
#[ignore = "needs DCMTK; scripts/test-gateway.sh brings it where it can and runs this"]
fn what_storescu_sends_arrives_as_it_was_in_every_transfer_syntax() {
    let link = Link::open();
    let gateway = Gateway::start(&link.workplace, link.sender.address, &["--mode", "exact"]);
    let (chest, head) = ("dicom/chest_cr_8bit.dcm", "dicom/phantom_ct_head_16bit.dcm");
    let make =
        |program, flags: &[&str], sample, name| transcoded(&link.workplace, program, flags, sample, name);
    let target = link.workplace.path("received.dcm");
    for (flags, file) in [
        (&["-xe"][..], binaries::sample(head)),
        (&["-xi"], make("dcmconv", &["+ti"], head, "implicit.dcm")),
        (&["-xb"], make("dcmconv", &["+tb"], head, "big.dcm")),
        (&["-xr"], make("dcmcrle", &["+un"], head, "rle.dcm")),
        (&["-xs"], make("dcmcjpeg", &["+e1", "+un"], head, "lossless.dcm")),
        (&["-xy"], make("dcmcjpeg", &["+eb"], chest, "baseline.dcm")),
        (&["-xt"], make("dcmcjpls", &["+el", "+un"], head, "jpegls.dcm")),
    ] {
        let sent = Instance::read(&file);
        let said = end(scu("storescu", &gateway, AE_TITLE, &[flags, &["-R", text(&file)]].concat()));
        assert!(
            said.content && said.text.contains("Received Store Response (Success)"),
            "{flags:?} {said:?}"
        );
        let image = client::list_images(link.receiver.images).into_iter().next().expect("it has arrived");
        let _got = link.get(&hex::encode(&image.transfer_id), &target).expect_success();
        let received = Instance::read(&target);
        assert_eq!(received.transfer_syntax, sent.transfer_syntax, "{flags:?}");
        assert!(received.data_set == sent.data_set, "{flags:?}: the data set arrived changed");
    }
    assert_eq!(client::list_images(link.receiver.images).len(), 7);
}

#[test]
#[ignore = "needs DCMTK; scripts/test-gateway.sh brings it where it can and runs this"]
fn a_study_is_stored_by_four_associations_at_once() {
    let link = Link::open();
    let gateway = Gateway::start(&link.workplace, link.sender.address, &[]);
    let begun: Vec<Child> = (0..4)
        .map(|series| {
            let folder = link.workplace.new_folder(&format!("series-{series}"));
            let instance = fs::read(binaries::sample("dicom/phantom_ct_head_16bit.dcm")).expect("the sample");
            for number in 0..5 {
                let file = folder.join(format!("{number}.dcm"));
                fs::write(&file, &instance).expect("a file can be written");
                let said = end(begin("dcmodify", &["-nb", "-gin", text(&file)]));
                assert!(said.content, "{said:?}");
            }
            scu("storescu", &gateway, AE_TITLE, &["+sd", text(&folder)])
        })
        .collect();
    for child in begun {
        let said = end(child);
        let answers = said.text.matches("Received Store Response (Success)").count();
        assert!(said.content && answers == 5, "{said:?}");
    }
    let images = client::list_images(link.receiver.images);
    assert_eq!(images.len(), 20);
    assert!(images.iter().all(|image| image.study_group == images[0].study_group), "one study");
}

#[test]
#[ignore = "needs DCMTK; scripts/test-gateway.sh brings it where it can and runs this"]
fn storescu_is_told_when_the_receiver_is_down_and_succeeds_when_it_is_back() {
    let workplace = Workplace::new();
    let (transfer, images) = (free_address(), free_address());
    let sender = Sender::start(&workplace, transfer, &[]);
    let gateway = Gateway::start(&workplace, sender.address, &[]);
    let file = binaries::sample("dicom/phantom_ct_head_16bit.dcm");
    let store = || end(scu("storescu", &gateway, AE_TITLE, &[text(&file)]));
    let said = store();
    assert!(said.text.contains("OutOfResources") && !said.text.contains("(Success)"), "{said:?}");
    let receiver = Receiver::start_at(&workplace, transfer, images);
    let said = store();
    assert!(said.content && said.text.contains("Received Store Response (Success)"), "{said:?}");
    assert_eq!(client::list_images(receiver.images).len(), 1);
}
