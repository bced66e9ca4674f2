//! Proves that no panic can be reached in the tuner and in the decoder of models: with the feature `no-panic` it links only if so.
//!
//! It is not meant to be run. What it works on comes from where the compiler cannot see, so that nothing is left out.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

#[cfg(target_os = "none")]
#[cortex_m_rt::entry]
fn main() -> ! {
    use core::hint::black_box;
    use pg_core::model_file::Model;
    use pg_core::tuner::Settings;
    use pg_core::tuner::{Entry, FineTuner, Memory};
    use pg_core::{Network, normalisation::Normalisation};
    use pg_embedded::{
        Fpu,
        tuning::{BATCH, Net},
    };
    use static_cell::ConstStaticCell;

    static PARAMETERS: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
    static WORKING: ConstStaticCell<[f32; 12_000]> = ConstStaticCell::new([0.0; 12_000]);
    static VALUES: ConstStaticCell<[u8; 4096]> = ConstStaticCell::new([0; 4096]);
    static ENTRIES: ConstStaticCell<heapless::Deque<Entry, 64>> = ConstStaticCell::new(heapless::Deque::new());
    static BEST: ConstStaticCell<[f32; Net::PARAMS]> = ConstStaticCell::new([0.0; Net::PARAMS]);
    let (Some(parameters), Some(working), Some(samples), Some(entries), Some(best)) =
        (PARAMETERS.try_take(), WORKING.try_take(), VALUES.try_take(), ENTRIES.try_take(), BEST.try_take())
    else {
        pg_embedded::console::end(false)
    };
    let file: &[u8] = black_box(&[]);
    let mut normalisation = Normalisation::NONE;
    if let Ok(model) = Model::decode(file) {
        if model.check::<Net>().is_ok() {
            black_box(model.parameters_into::<Net>(parameters)).ok();
            normalisation = model.normalisation;
        }
    }
    let memory = Memory {
        parameters,
        working: black_box(working),
        samples: black_box(samples),
        entries: entries.as_mut_view(),
        best: black_box(best),
    };
    // With the code for noise of rank 1, which `tune` leaves out.
    let tuner = FineTuner::<Net, Fpu, u8, BATCH, true>::new(memory, normalisation, black_box(Settings::DEFAULT), black_box(1));
    let Ok(mut tuner) = tuner else { pg_embedded::console::end(false) };
    loop {
        black_box(tuner.label(black_box(&[0; 64]), black_box(3))).ok();
        black_box(tuner.step()).ok();
        black_box(tuner.evaluate());
        black_box(tuner.roll_back()).ok();
        black_box(tuner.forget_oldest());
        tuner.restart();
        black_box((tuner.state(), tuner.checksum(), tuner.best(), tuner.velocity()));
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
