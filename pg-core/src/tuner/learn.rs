//! A step: the population gradient of a batch, member after member, and the update.

use super::pass::{backward, columns, cut, cut_buffers, forward, outputs, piece, piece_mut, scratch_len, tape_len, write_sample};
use super::samples::Census;
use super::{FineTuner, Member, Raw, Settings};
use crate::form::{Form, Samples};
use crate::lane::Lane;
use crate::layers::{Draw, Mode, Pass, Scope, SegmentKind};
use crate::loss::{Targets, cross_entropy};
use crate::network::Network;
use crate::optimiser::Sgd;
use crate::perturbation::rank_one::{self, Factors};
use crate::perturbation::{mirror, plain::perturb};
use crate::population::Workspace;

impl<N: Network, L: Lane, S: Raw, const BATCH: usize, const RANK_ONE: bool> FineTuner<'_, N, L, S, BATCH, RANK_ONE> {
    /// The population gradient of the batch of this step, and the update; returns the mean loss, or `None` if it is no number: then
    /// the parameters are as they were.
    pub(super) fn learn(&mut self, census: &Census, labels: &mut [u16; BATCH]) -> Option<f32> {
        let descends = const { BATCH == 1 && <Samples<L> as Form>::COLUMN == 1 && N::DESCENDS };
        if descends && self.settings.needs().descends::<N, L, BATCH>() {
            return self.descend(census, labels);
        }
        let spare = core::mem::take(&mut self.spare);
        let loss = self.learn_in(spare, census, labels);
        self.spare = spare;
        loss
    }

    /// The same in this memory: for the gradient, then for the noise scales and for a member where there are members.
    #[inline(always)]
    fn learn_in(&mut self, memory: &mut [f32], census: &Census, labels: &mut [u16; BATCH]) -> Option<f32> {
        let made_of = self.settings.needs().member;
        let (gradient, memory) = memory.split_at_mut_checked(self.settings.scope.len(const { &N::LEAVES }))?;
        let (scales, member) = memory.split_at_mut_checked(if made_of == Member::None { 0 } else { N::FILTERS })?;
        if made_of != Member::None {
            self.settings.population.noise.scales::<N, L>(self.parameters, scales);
            silence::<N>(self.settings.scope, scales);
        }
        let count = self.settings.population.members.max(1);
        let mut total = 0.0;
        for number in 0..count {
            self.make(made_of, number, scales, member)?;
            if number == 0 || N::OVERWRITES_INPUT {
                self.gather(census, labels);
            }
            total += self.pass(made_of, number, labels, member, gradient)?;
        }
        let mean = 1.0 / count as f32;
        if made_of != Member::None {
            L::scale(mean, gradient);
        }
        self.update(gradient);
        Some(total * mean)
    }

    /// Makes a member: its weights, or its factors; the second of a pair from the first, which was the last to be made.
    #[inline(always)]
    fn make(&self, made_of: Member, number: u32, scales: &[f32], member: &mut [f32]) -> Option<()> {
        let population = &self.settings.population;
        let (pair, second) = population.place(number);
        let stream = || population.stream(self.state.seed, self.state.step, pair);
        match made_of {
            Member::None => {}
            Member::Factors if RANK_ONE => {
                let factors = member.get_mut(..N::FACTORS)?;
                if second {
                    rank_one::mirror::<N>(factors);
                } else {
                    population.noise.factors::<N, L>(&stream(), scales, false, 1, factors);
                }
            }
            _ => {
                let (parameters, member) = (self.parameters.get(..N::PARAMS)?, member.get_mut(..N::PARAMS)?);
                if second {
                    mirror::<L>(parameters, member);
                } else {
                    perturb::<N, L>(population.noise.distribution, &stream(), parameters, scales.get(..N::FILTERS)?, member);
                }
            }
        }
        Some(())
    }

    /// Writes the samples of this step to the tape.
    #[inline(always)]
    pub(super) fn gather(&mut self, census: &Census, labels: &mut [u16; BATCH]) {
        let first = self.state.step.wrapping_mul(BATCH as u32);
        for (n, label) in labels.iter_mut().enumerate() {
            let place = first.wrapping_add(n as u32);
            let Some(entry) = self.ring.replayed(self.state.seed, place, census) else { continue };
            *label = entry.label;
            write_sample::<N, L, S, BATCH>(&self.ring, &self.normalisation, entry, n, self.workspace.tape);
        }
    }

    /// A pass for learning.
    #[inline(always)]
    pub(super) fn training(&self, number: u32) -> Pass<'static> {
        let draw: Draw = self.settings.population.draw(self.state.seed, self.state.step, number, 0);
        let scope = self.settings.scope;
        Pass { mode: Mode::Tune(draw), adds: number > 0, scope, ..Pass::infer(BATCH, columns::<L, BATCH>()) }
    }

    /// Forward and backward of member `number` over the batch on the tape: its mean loss.
    #[inline(always)]
    fn pass(&mut self, made_of: Member, number: u32, labels: &[u16; BATCH], member: &[f32], gradient: &mut [f32]) -> Option<f32> {
        let parameters = self.parameters.get(..N::PARAMS)?;
        let (weights, factors) = match made_of {
            Member::Factors if RANK_ONE => (parameters, Some(Factors::of_members(member.get(..N::FACTORS)?))),
            Member::Weights => (member.get(..N::PARAMS)?, None),
            _ => (parameters, None),
        };
        let pass = Pass { factors, ..self.training(number) };
        let Workspace { tape, buffers, scratch, .. } = &mut self.workspace;
        let tape = cut(tape, tape_len::<N, L, BATCH>())?;
        let scratch = cut(scratch, scratch_len::<N, L, BATCH>())?;
        let mut buffers = cut_buffers::<N, L, BATCH>(buffers)?;
        forward::<N, Samples<L, RANK_ONE>>(&pass, weights, tape, scratch);
        let y = outputs::<N, L, BATCH>(tape)?;
        let sums = cross_entropy::<Samples<L>>(&pass, N::OUTPUTS, BATCH, 0.0, Targets::Classes(labels), y, buffers.dy);
        if !sums[0].is_finite() {
            return None;
        }
        backward::<N, Samples<L, RANK_ONE>>(&pass, weights, tape, &mut buffers, scratch, gradient);
        Some(sums[0] / BATCH as f32)
    }

    /// One step of the optimiser, over the parameters in scope; running statistics are none of its business.
    fn update(&mut self, gradient: &[f32]) {
        let Settings { rate, momentum, weight_decay, scope, .. } = self.settings;
        let sgd = Sgd { momentum, nesterov: false, weight_decay };
        let Self { velocity, parameters, .. } = self;
        scope.ranges(const { &N::LEAVES }, |compact, first, length| {
            let velocity = if momentum == 0.0 { Some(&mut [][..]) } else { piece_mut(velocity, compact, length) };
            let lent = (piece(gradient, compact, length), velocity, piece_mut(parameters, first, length));
            if let (Some(gradient), Some(velocity), Some(parameters)) = lent {
                if momentum != 0.0 && weight_decay == 0.0 {
                    L::step(-rate, momentum, gradient, velocity, parameters);
                } else {
                    sgd.step::<L>(rate, gradient, velocity, parameters);
                }
            }
        });
    }
}

/// Takes the noise from the filters that are not in scope.
fn silence<N: Network>(scope: Scope, scales: &mut [f32]) {
    if scope == Scope::EVERYTHING {
        return;
    }
    let mut next = 0;
    N::segments(&mut |segment| {
        if segment.kind == SegmentKind::Weight {
            let mut trained = false;
            scope.layers(const { &N::LEAVES }, |first, length| trained |= (first..first + length).contains(&segment.offset));
            let of_segment = scales.iter_mut().skip(next).take(segment.filters);
            if !trained {
                of_segment.for_each(|scale| *scale = 0.0);
            }
            next += segment.filters;
        }
    });
}
