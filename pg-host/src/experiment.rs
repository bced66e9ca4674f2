//! From options to everything that a training run needs: data, network, recipe. It trains nothing and writes nothing.
//!
//! `train`, `study` and `gradient` all come through here, so the same options mean the same run in each.

use std::sync::Arc;

use crate::choose;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::options::TrainOptions;
use crate::parts::{Divided, Prepared, divide, load, prepare};
use crate::training::Recipe;

/// A data set as a network takes it, in its parts: the same for all runs that differ in nothing but how they train.
#[derive(Clone, Debug)]
pub struct Material {
    divided: Arc<Divided>,
    /// What a person should know of it.
    pub note: Option<String>,
}

impl Material {
    /// How many samples there are to learn from, and to watch.
    pub fn train_samples(&self) -> usize {
        self.divided.data.train.len()
    }
}

/// A training run that only has to be started.
pub struct Experiment<'a> {
    /// The network.
    pub entry: &'a Entry,
    /// The name of the data set.
    pub name: String,
    /// Whether its test part was put aside here.
    pub carved: bool,
    /// The samples.
    pub prepared: Prepared,
    /// How to train.
    pub recipe: Recipe,
}

/// The data that the options ask for.
pub fn material(networks: &[Entry], options: &TrainOptions) -> Result<Material, Failure> {
    options.check()?;
    if let Some(name) = &options.net {
        choose::by_name(networks, name)?;
    }
    let mut data = load(&options.data)?.checked()?;
    let other = match options.data.shape {
        None => choose::other_reading(networks, options.net.as_deref(), data.shape, data.classes.len())?,
        Some(_) => None,
    };
    let mut note = None;
    if let Some(shape) = other {
        note = Some(format!(
            "{}: samples of {} are read as {shape}, as the network takes them; --as {} keeps them",
            data.name, data.shape, data.shape
        ));
        data = data.read_as(shape)?;
    }
    let mut divided = divide(data)?;
    if let Some(count) = options.train_samples {
        let all = divided.data.train.len();
        if count > all {
            return Err(Failure::Usage(format!(
                "--train-samples must be at most {all}, the training samples of {}, and is {count}",
                divided.data.name
            )));
        }
        divided.data.train = divided.data.train.take(count)?;
        divided.data = divided.data.checked()?;
    }
    Ok(Material { divided: Arc::new(divided), note })
}

/// The run that the options ask for, on `material` that was made for them.
pub fn set_up<'a>(networks: &'a [Entry], options: &TrainOptions, material: Material) -> Result<Experiment<'a>, Failure> {
    options.check()?;
    let divided = Arc::unwrap_or_clone(material.divided);
    let (name, carved) = (divided.data.name.clone(), divided.carved);
    let (shape, classes) = (divided.data.shape, divided.data.classes.len());
    let entry = choose::for_data(networks, options.net.as_deref(), &name, shape, classes)?;
    options.augmentation.check(shape).map_err(|error| Failure::Usage(format!("--augment: {error}")))?;
    options.method.check_network(entry.name(), &entry.network().segments())?;
    let prepared = prepare(divided, options.validation, options.seed)?;
    let recipe = options.recipe();
    let steps = recipe.steps_per_epoch(prepared.train.len()) as u64 * u64::from(recipe.epochs);
    if steps > u64::from(u32::MAX) {
        return Err(Failure::Usage(format!("{steps} steps are too many: choose fewer --epochs or a larger --batch")));
    }
    Ok(Experiment { entry, name, carved, prepared, recipe })
}
