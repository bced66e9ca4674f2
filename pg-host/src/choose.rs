//! Which network of the list: by name, by the shape of the data, or by the fingerprint of a model file.

use anyhow::anyhow;
use pg_core::Shape;

use crate::entry::Entry;
use crate::failure::Failure;

/// The entry of that name.
pub fn by_name<'a>(networks: &'a [Entry], name: &str) -> Result<&'a Entry, Failure> {
    let unknown = || Failure::Usage(format!("there is no network called `{name}`; there are {}", names(networks)));
    networks.iter().find(|entry| entry.name() == name).ok_or_else(unknown)
}

/// The shape that data of `shape` should be read as, where that is another than the files say: images of 1xCxT are windows of Cx1xT, or the
/// other way round, if the network that was asked for takes them so, or without a name the first that does when none takes them as they are.
pub fn other_reading(networks: &[Entry], name: Option<&str>, shape: Shape, classes: usize) -> Result<Option<Shape>, Failure> {
    let takes =
        |entry: &Entry, shape| entry.network().sizes().input == shape && (name.is_some() || entry.network().sizes().outputs == classes);
    let asked = asked(networks, name)?;
    let candidates = || networks.iter().filter(|entry| asked.is_none_or(|asked| asked.name() == entry.name()));
    Ok(turned(shape).filter(|&turned| !candidates().any(|entry| takes(entry, shape)) && candidates().any(|entry| takes(entry, turned))))
}

/// 1xCxT as Cx1xT and back: the same values in the same order.
pub fn turned(shape: Shape) -> Option<Shape> {
    match shape {
        Shape { channels: 1, height, width } if height > 1 => Some(Shape::new(height, 1, width)),
        Shape { channels, height: 1, width } if channels > 1 && width > 1 => Some(Shape::new(1, channels, width)),
        _ => None,
    }
}

/// The entry that was asked for, if one was.
fn asked<'a>(networks: &'a [Entry], name: Option<&str>) -> Result<Option<&'a Entry>, Failure> {
    name.map(|name| by_name(networks, name)).transpose()
}

/// The network to train on data of this shape: the one that was asked for if it fits, without a name the first that fits.
pub fn for_data<'a>(networks: &'a [Entry], name: Option<&str>, data: &str, shape: Shape, classes: usize) -> Result<&'a Entry, Failure> {
    let fits = |entry: &&Entry| {
        let sizes = entry.network().sizes();
        (sizes.input, sizes.outputs) == (shape, classes)
    };
    let asked = asked(networks, name)?;
    if let Some(entry) = asked.filter(|entry| fits(entry)) {
        return Ok(entry);
    }
    let fitting = networks.iter().find(fits);
    let has = format!("{data} has {shape} inputs and {classes} classes");
    let own = "a network of your own is one type, see examples/own-network";
    match (asked, fitting) {
        (None, Some(entry)) => Ok(entry),
        (None, None) => {
            let takes: Vec<String> = networks.iter().map(takes).collect();
            Err(anyhow!("{has}, and no network takes them: {}; {own}", takes.join("; ")).into())
        }
        (Some(entry), fitting) => {
            let advice = fitting.map_or_else(|| own.into(), |fitting| format!("try --net {}", fitting.name()));
            Err(anyhow!("{has}, {}; {advice}", takes(entry)).into())
        }
    }
}

/// "`mlp-9-24-11` takes 9x1x1 inputs and gives 11 classes".
pub fn takes(entry: &Entry) -> String {
    let sizes = entry.network().sizes();
    format!("`{}` takes {} inputs and gives {} classes", entry.name(), sizes.input, sizes.outputs)
}

/// The network that a model was made for.
pub fn by_fingerprint<'a>(networks: &'a [Entry], file: &str, fingerprint: u64, text: &str) -> Result<&'a Entry, Failure> {
    networks.iter().find(|entry| entry.network().fingerprint() == fingerprint).ok_or_else(|| {
        anyhow!(
            "{file} was made for the network {text}, which is not one of {}; \
             write that type in a crate of your own and read it there, see examples/own-network",
            names(networks)
        )
        .into()
    })
}

fn names(networks: &[Entry]) -> String {
    networks.iter().map(Entry::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::zoo;

    #[test]
    fn the_first_network_that_fits_is_chosen() {
        let zoo = zoo();
        let name = |shape, classes| for_data(&zoo, None, "data", shape, classes).unwrap().name();
        assert_eq!(name(Shape::new(1, 8, 8), 10), "mlp-64-64-32-10");
        assert_eq!(name(Shape::new(9, 1, 1), 11), "mlp-9-24-11");
        assert_eq!(for_data(&zoo, Some("mlp-64-32-10"), "data", Shape::new(1, 8, 8), 10).unwrap().name(), "mlp-64-32-10");
    }

    #[test]
    fn windows_are_read_as_channels_only_where_the_network_takes_only_that() {
        let zoo = zoo();
        let (image, window) = (Shape::new(1, 3, 64), Shape::new(3, 1, 64));
        let reading = |name, shape, classes| other_reading(&zoo, name, shape, classes).unwrap();
        assert_eq!(reading(Some("conv1d-3x64"), image, 6), Some(window));
        assert_eq!(reading(None, image, 6), Some(window));
        assert_eq!(reading(None, image, 7), None, "no network has as many classes");
        assert_eq!(reading(Some("conv1d-3x64"), window, 6), None);
        assert_eq!(reading(Some("conv1d-6x128"), image, 6), None);
        assert_eq!(reading(None, Shape::new(8, 1, 8), 10), Some(Shape::new(1, 8, 8)));
        assert_eq!(reading(None, Shape::new(1, 8, 8), 10), None);
        assert_eq!([image, window, Shape::new(9, 1, 1), Shape::new(3, 4, 5)].map(turned), [Some(window), Some(image), None, None]);
    }

    #[test]
    fn what_does_not_fit_is_told_with_both_shapes_and_a_way_out() {
        let zoo = zoo();
        let refusal = |name, shape| for_data(&zoo, name, "digits", shape, 10).err().unwrap().to_string();
        assert_eq!(
            refusal(Some("mlp-784-128-10"), Shape::new(1, 8, 8)),
            "digits has 1x8x8 inputs and 10 classes, `mlp-784-128-10` takes 1x28x28 inputs and gives 10 classes; \
             try --net mlp-64-64-32-10"
        );
        assert!(refusal(Some("mlp-9-24-11"), Shape::new(3, 2, 2)).ends_with("see examples/own-network"));
        assert!(refusal(None, Shape::new(3, 2, 2)).contains("no network takes them: `mlp-64-64-32-10` takes 1x8x8"));
        assert!(refusal(Some("mlp"), Shape::new(1, 8, 8)).starts_with("there is no network called `mlp`; there are mlp-64-64-32-10,"));
    }
}
