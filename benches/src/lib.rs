//! What the benches of I3 measure with: the disk's sync rate, a closed-loop MQTT load generator,
//! Debian's Mosquitto as the yardstick, and rounds that are interleaved so that ratios hold on a busy
//! machine. See the package's README for how to run them and how to read them.

pub mod disk;
pub mod mosquitto;
pub mod mqtt_load;
pub mod options;
pub mod rounds;

mod mqtt_frames;
