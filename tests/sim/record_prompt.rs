//! Recording a recording of the media bank by telephone.

use std::time::Duration;

use sentral::model::change::Change;

use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);

fn world(seed: u64) -> World {
    let text = COMPANY.replace("[users.kari]\n", "[users.kari]\nrole = \"admin\"\n");
    let text = text.replace("welcome = { file", "welcome = { code = \"7\", file");
    World::at(seed, noon(), config(&text))
}

#[test]
fn an_administrator_speaks_hears_speaks_again_and_takes_it_into_use() {
    let mut world = world(131);
    let kari = world.registered("kari");
    let line = world.phones[kari].call(world.now, "*607", false);
    let told = |w: &World| {
        let audio = w.phones[kari].lines[&line].audio;
        w.stream_to(audio).map(|(_, stream)| stream.played.join(" ")).unwrap_or_default()
    };
    let press = |w: &mut World, key: char| {
        let audio = w.phones[kari].lines[&line].audio;
        w.key(audio, key);
        w.run(S / 10);
    };
    world.run(4 * S);
    assert!(told(&world).contains("people/record"), "{}", told(&world));
    press(&mut world, '#');
    assert!(told(&world).contains("people/record-choose"));
    press(&mut world, '1');
    assert!(told(&world).contains("takes/welcome.kari.wav"), "{}", told(&world));
    press(&mut world, '2');
    world.run(4 * S);
    press(&mut world, '#');
    press(&mut world, '3');
    assert!(told(&world).contains("people/record-kept"));
    world.until("it ends", 5 * S, |w| matches!(w.phones[kari].lines[&line].stage, Stage::Over(_)));
    let kept = world.changes.iter().any(|change| {
        matches!(change, Change::Decision(told) if &*told.event == "media.recorded" && told.why.contains("welcome"))
    });
    assert!(kept);
    world.finish();
}

#[test]
fn an_employee_may_not_and_who_hangs_up_leaves_nothing() {
    let mut world = world(132);
    let (kari, ola) = (world.registered("kari"), world.registered("ola"));
    let line = world.phones[ola].call(world.now, "*607", false);
    world.run(S / 2);
    let audio = world.phones[ola].lines[&line].audio;
    assert!(world.stream_to(audio).unwrap().1.played.join(" ").contains("people/not-allowed"));
    world.run(3 * S);
    let line = world.phones[kari].call(world.now, "*607", false);
    world.run(4 * S);
    world.phones[kari].hang_up(world.now, line);
    world.finish();
}
