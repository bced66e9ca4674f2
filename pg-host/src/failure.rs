//! Why the program ends without a result: one sentence and an exit code.

use std::fmt;

use crate::data::DataError;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// It was called with options that make no sense: exit code 2.
    Usage(String),
    /// Anything else: exit code 1.
    Run(anyhow::Error),
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Run(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(sentence) => f.write_str(sentence),
            // With the causes behind it: "reading model.pg: it ends too early".
            Failure::Run(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Run(error)
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        match error {
            DataError::CsvOnly { .. } | DataError::Unknown { .. } | DataError::Reinterpreted { .. } => Failure::Usage(error.to_string()),
            _ => Failure::Run(anyhow::Error::msg(error.to_string())),
        }
    }
}
