//! What people see: answers on standard output, all else on standard error, each in its manner.

mod age;
mod ask;
mod progress;
mod reader;
mod screen;
mod table;
mod tabs;
mod words;

pub use age::{age, ago, in_a_while};
pub use ask::{CanAsk, ask};
pub use progress::Progress;
pub use reader::reader_gone;
pub use screen::{ColorChoice, Screen, Tone, harmless};
pub use table::{Cell, Column, Table};
pub use tabs::Tabs;
pub use words::{counted, wrapped};
