//! In the middle of a study the network is cut, a container paused or killed. Each image ends as a clear error or a delivery,
//! never as a wrong picture; sent again under the same ids, everything is there once.

use std::{thread, time::Duration};

use crate::{
    docker::docker,
    project::Project,
    study::{Progress, delivered_in_the_end, interrupted},
};

/// An image was given up, or the sender itself is away.
fn failed(progress: &Progress) -> bool {
    progress.failed > 0 || progress.unreachable
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn a_cut_network_fails_clearly_and_heals() {
    let project = Project::up();
    let (link, receiver) = (format!("{}_link", project.name()), project.container("receiver"));
    let cut = || {
        let _said = docker(&["network", "disconnect", &link, &receiver]);
    };
    let restore = || {
        let _said = docker(&["network", "connect", "--alias", "receiver", &link, &receiver]);
    };
    let outcomes = interrupted(&project, cut, failed, restore);
    delivered_in_the_end(&project, &outcomes);
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn a_receiver_that_is_killed_and_comes_back_has_no_half_image() {
    let project = Project::up();
    let receiver = project.container("receiver");
    let kill = || {
        let _said = docker(&["kill", &receiver]);
    };
    let restart = || {
        let _said = docker(&["start", &receiver]);
        project.wait_healthy("receiver");
    };
    let outcomes = interrupted(&project, kill, failed, restart);
    delivered_in_the_end(&project, &outcomes);
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn a_sender_that_is_killed_and_comes_back_sends_nothing_twice() {
    let project = Project::up();
    let sender = project.container("sender");
    let kill = || {
        let _said = docker(&["kill", &sender]);
    };
    let restart = || {
        let _said = docker(&["start", &sender]);
        project.wait_healthy("sender");
    };
    let outcomes = interrupted(&project, kill, failed, restart);
    delivered_in_the_end(&project, &outcomes);
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn a_paused_receiver_loses_nothing() {
    let project = Project::up();
    let receiver = project.container("receiver");
    let pause = || {
        let _said = docker(&["pause", &receiver]);
    };
    let unpause = || {
        let _said = docker(&["unpause", &receiver]);
    };
    // For a while only: nothing says when an image waits long enough at the receiver's door, and any while must do.
    let a_while = |_: &Progress| {
        thread::sleep(Duration::from_secs(3));
        true
    };
    let outcomes = interrupted(&project, pause, a_while, unpause);
    delivered_in_the_end(&project, &outcomes);
}
