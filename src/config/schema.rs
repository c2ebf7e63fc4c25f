//! One definition per settings key: parser, default, range text, help and reference all come from it. Knows no file format.

/// One key of a settings struct `T`. The table of a file's keys is a `static [Key<T>]`.
pub struct Key<T: 'static> {
    /// The name as it stands in the file.
    pub name: &'static str,
    /// The text that an omitted key stands for; `None` means that the key is required.
    pub default: Option<&'static str>,
    /// What is valid, for people: `percent, (0, 100)`.
    pub valid: &'static str,
    /// One line of help, units included.
    pub help: &'static str,
    /// May be changed while the engine runs.
    pub hot: bool,
    /// Reads the value's text into `T`; the error says what is wrong with the value (the caller adds file, line, key and `valid`).
    pub set: fn(&mut T, &str) -> Result<(), String>,
    /// The value now in `T`, in the form that `set` reads.
    pub show: fn(&T) -> String,
}
