//! Recordings: a company's media bank, and the keys by which everything that can be heard is named.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::id::CompanyId;
use crate::model::id::MediaId;

/// An entry of a company's media bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Shown, else the id.
    pub name: Option<Arc<str>>,
    /// Dialled behind the service code to record it by telephone.
    pub code: Option<Arc<str>>,
    /// What is said.
    pub text: Option<Arc<str>>,
    /// The WAV file, absolute; exists and was readable at load.
    pub file: Option<PathBuf>,
}

/// Names one recording that can be played.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum PromptKey {
    /// Of the system, by language (`nb`, `en`) and id (`queue/welcome`).
    System(Arc<str>, Arc<str>),
    /// Of a company's media bank.
    Media(CompanyId, MediaId),
    /// A recorded message or greeting, by the name of its file in the data folder; loaded when asked for.
    Recording(Arc<str>),
}
