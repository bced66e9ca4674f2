//! Why a device refuses a request, each with what to do about it. It keeps working with what it had.

use serde::{Deserialize, Serialize};

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No `Hello` opened this session: the device has started anew since, or serves another host.
    #[error("the device has started anew or serves another host: connect again, and check its status for what was done")]
    NoSession,
    /// The check sum is right, the content is none that this version knows.
    #[error("the device does not understand the request: use the pg-host that its firmware was built with")]
    Malformed,
    /// The firmware has no such function.
    #[error("this firmware cannot do that: it was built without it")]
    Unsupported,
    /// It tunes.
    #[error("the device is busy tuning: wait until its status says idle, or stop it")]
    Busy,
    /// The reply does not fit the device's buffer.
    #[error("the reply does not fit the device's frames: ask for less at once")]
    ReplyTooLong,
    /// Made for another network.
    #[error("the device runs another network (fingerprint {device:016x}): give a model of that one")]
    OtherNetwork {
        /// The fingerprint of the device's network.
        device: u64,
    },
    /// A sample of another length.
    #[error("the sample has {found} values, and the network takes {expected}")]
    SampleLength {
        /// Values of the sample.
        found: u32,
        /// Values of an input.
        expected: u32,
    },
    /// The device keeps samples in another form.
    #[error("the device keeps its samples as {kept}: send them as that")]
    SampleForm {
        /// What the samples are kept as.
        kept: Form,
    },
    /// A class that the network does not have.
    #[error("there is no class {label}: the network has {classes}, counted from 0")]
    NoSuchClass {
        /// The label.
        label: u16,
        /// The network's classes.
        classes: u16,
    },
    /// A value is infinite or not a number.
    #[error("a number is infinite or not a number: check the sample or the model")]
    NotFinite,
    /// No room for another sample.
    #[error("the device is full with {samples} samples: tune with these, or forget some")]
    RingFull {
        /// How many it holds.
        samples: u32,
    },
    /// There is nothing to learn from, or to look at.
    #[error("the device has no sample for this: label some first")]
    NoSamples,
    /// Zero steps.
    #[error("there is nothing to do in 0 steps: ask for one or more")]
    NoSteps,
    /// An option is out of range.
    #[error(
        "an option makes no sense: rate, rho and decay must be finite and not negative, the momentum below 1, a look after 1 step or more"
    )]
    Options,
    /// The scope has no layer of this network.
    #[error("the options train no layer of this network: choose other layers")]
    EmptyScope,
    /// The firmware's batch is another.
    #[error("the firmware's batch has {batch} samples: ask for that, or build it with another")]
    Batch {
        /// The batch of the firmware.
        batch: u16,
    },
    /// The options need more memory than the firmware has put aside.
    #[error("the options need {needed} bytes of memory, and the firmware has {lent}: train fewer layers, or build it with more")]
    TooLittleMemory {
        /// Bytes that are needed.
        needed: u32,
        /// Bytes that there are.
        lent: u32,
    },
    /// The loss on the held-out samples falls no more.
    #[error("tuning has stopped because the loss on the held-out samples falls no more: give options anew to go on")]
    Stopped,
    /// The loss became infinite or not a number.
    #[error("the loss is no longer a finite number, the device went back to its best parameters: tune at a lower rate")]
    Diverged,
    /// There are no best parameters.
    #[error("the device has kept no parameters to go back to: hold samples out, and tune, before")]
    NothingKept,
    /// The piece does not begin where the last one ended.
    #[error("the next piece must begin at byte {expected}")]
    Offset {
        /// Where it must begin.
        expected: u32,
    },
    /// No push was begun, or it was given up since.
    #[error("no transfer of parameters has begun: begin one")]
    NothingPushed,
    /// The whole has another length than the parameters.
    #[error("{found} bytes are pushed, and the parameters are {expected}: give a model of this network")]
    PushLength {
        /// Bytes announced.
        found: u32,
        /// Bytes of the parameters.
        expected: u32,
    },
    /// The CRC of the whole is another.
    #[error("the parameters arrived damaged (their check sum is wrong) and were not taken: push them again")]
    PushDamaged,
    /// The parameters have changed since the pull began.
    #[error("the parameters have changed meanwhile: begin to pull them anew")]
    Changed,
    /// There is no such row of the memory plan, or byte of the parameters.
    #[error("there is no such row or byte: ask for one of those that the device has")]
    OutOfRange,
    /// The log has no room for another sample.
    #[error("the device's flash is full of samples: reset it, or let it forget the oldest")]
    FlashFull,
    /// What was written is not what is read.
    #[error("the device's flash is worn, it does not keep what is written: the state saved before is still there")]
    FlashWorn,
    /// The flash refuses.
    #[error("the device's flash cannot be read or written: check the board")]
    Flash,
    /// The firmware was built without room for a state in flash.
    #[error("the state does not fit the device's flash: build the firmware with larger slots")]
    StateTooLarge,
}

/// What a device keeps samples as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// Whole numbers from 0 to 255.
    U8,
    /// Whole numbers from -128 to 127.
    I8,
    /// Floating-point numbers.
    F32,
}

impl core::fmt::Display for Form {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Form::U8 => "whole numbers from 0 to 255",
            Form::I8 => "whole numbers from -128 to 127",
            Form::F32 => "floating-point numbers",
        })
    }
}
