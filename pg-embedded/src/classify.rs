//! The story of a program that infers: read the model, run it on samples, report every number, end.
//!
//! It owns no memory and knows no network; the program lends one and names the other.

use pg_core::{Network, form::Samples, layers::Pass, model_file::Model};

use crate::{
    Fpu, Stopwatch,
    console::{self, Line},
};

/// Inference knows no noise, and has no code for it.
type Plain = Samples<Fpu, false>;

/// The memory of an inference, `N::PARAMS`, `N::TAPE` and `N::SCRATCH` numbers.
pub struct Memory {
    /// The parameters, read from the model file once.
    pub parameters: &'static mut [f32],
    /// Input, activations, output.
    pub tape: &'static mut [f32],
    /// What layers compute with.
    pub scratch: &'static mut [f32],
}

/// Reads the parameters from `model`, then reports class and logits of each of `samples`: a byte for each value, then the label.
/// Ends the program when the file is not a model of `N`.
pub fn classify<N: Network>(model: &[u8], samples: &[u8], memory: &mut Memory, stopwatch: &mut Stopwatch) {
    let Memory { parameters, tape, scratch } = memory;
    let model = match Model::decode(model).and_then(|model| model.parameters_into::<N>(parameters).map(|()| model)) {
        Ok(model) => model,
        Err(error) => {
            console::report(&error);
            console::end(false)
        }
    };
    for (index, sample) in samples.chunks_exact(N::INPUT.len() + 1).enumerate() {
        let (raw, label) = sample.split_at(N::INPUT.len());
        model.normalisation.apply(N::INPUT, raw, &mut tape[..raw.len()]);
        let ((), ticks) = stopwatch.ticks(|| N::forward::<Plain>(&Pass::infer(1, 1), parameters, tape, scratch));
        let logits = &tape[N::TAPE - N::OUTPUTS..];
        report(index, label[0], ticks, logits);
    }
}

/// Runs the first layers of a network, as a network of their own, on the input that is on the tape: the ticks.
pub fn ticks_of<N: Network>(memory: &mut Memory, stopwatch: &mut Stopwatch) -> Option<u32> {
    let Memory { parameters, tape, scratch } = memory;
    stopwatch.ticks(|| N::forward::<Plain>(&Pass::infer(1, 1), &parameters[..N::PARAMS], &mut tape[..N::TAPE], scratch)).1
}

/// `sample 0 label 3 class 3 ticks 20000 logits 3f800000 …`
fn report(index: usize, label: u8, ticks: Option<u32>, logits: &[f32]) {
    let class = (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
    let mut line = Line::new("sample").number(index as u32).word("label").number(label.into()).word("class").number(class as u32);
    if let Some(ticks) = ticks {
        line = line.word("ticks").number(ticks);
    }
    logits.iter().fold(line.word("logits"), |line, &logit| line.bits(logit)).end();
}
