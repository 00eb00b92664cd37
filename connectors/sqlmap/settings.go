package sqlmap

// Settings are the "config:" section of a connector of this engine, as
// [Open] reads it.
type Settings = settings
