package portal

import "io/fs"

// Texts returns the pages and the words that people are shown, for the history
// of forms.
func Texts() []fs.FS { return []fs.FS{templateFiles, wordFiles} }
