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

/// The settings of one kind of file: the table of its keys and what must hold between them.
pub trait Settings: Sized + 'static {
    /// Every key at its default, required keys at a placeholder.
    fn blank() -> Self;
    /// Every key, in the order of the reference; values are set in this order.
    fn keys() -> &'static [Key<Self>];
    /// What is wrong between keys, each as a sentence that begins with the name of a key; empty when the settings can be used.
    fn check(&self) -> Vec<String>;
    /// Drops what another choice makes meaningless; called before `check`.
    fn settle(&mut self) {}
    /// Allowed, but the user should know; each begins with the name of a key.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
