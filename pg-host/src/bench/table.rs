//! What was measured as text for a terminal.

use std::fmt;

use super::{Part, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "peak of one thread: {:.0} GFLOP/s of fused multiply-adds", self.peak_gflops)?;
        writeln!(
            f,
            "{:<18} {:>5} {:>3} {:>7} {:<17} {:>10} {:>11} {:>9} {:>14} {:>8} {:>12} {:>9}",
            "net", "batch", "K", "threads", "noise", "µs/step", "passes/s", "GFLOP/s", "share of peak", "KiB", "noise's part", "ns/number"
        )?;
        for step in &self.steps {
            let noise = match (step.population, step.batch_mode) {
                (0, _) => String::new(),
                (_, "shared") => step.noise.into(),
                (_, mode) => format!("{} {mode}", step.noise),
            };
            write!(f, "{:<18} {:>5} {:>3} {:>7} {:<17} ", step.net, step.batch, step.population, step.threads, noise)?;
            write!(f, "{:>10.2} {:>11.0} {:>9.1}", step.us_per_step, step.passes_per_s, step.gflops)?;
            write!(f, " {:>14.2} {:>8.0}", step.share_of_peak, step.memory_bytes as f64 / 1024.0)?;
            match step.noise_share {
                Some(share) => writeln!(f, " {share:>12.2} {:>9.2}", step.ns_per_normal.unwrap_or_default())?,
                None => writeln!(f)?,
            }
        }
        for step in self.steps.iter().filter(|step| !step.layers.is_empty()) {
            for (head, of, parts) in [("layer alone", "input", &step.layers), ("kind", "layers", &step.kinds)] {
                writeln!(f, "\n{}, batch {}, K = {}", step.net, step.batch, step.population)?;
                let [forward, backward, peak, whole] = ["forward µs", "backward µs", "share of peak", "share of step"];
                writeln!(f, "{head:<20} {of:>9} {forward:>10} {backward:>11} {:>8} {peak:>13} {whole:>13}", "GFLOP/s")?;
                for Part { name, of, forward_us, backward_us, gflops, share_of_peak, share_of_step } in parts {
                    write!(f, "{name:<20} {of:>9} {forward_us:>10.2} {backward_us:>11.2} ")?;
                    writeln!(f, "{gflops:>8.1} {share_of_peak:>13.2} {:>12.1}%", 100.0 * share_of_step)?;
                }
            }
            let rest = 1.0 - step.kinds.iter().map(|kind| kind.share_of_step).sum::<f64>();
            writeln!(f, "{:<20} {:>71.1}%", "all else", 100.0 * rest)?;
        }
        Ok(())
    }
}
