package notice

import "io/fs"

// Texts returns the words of the notices, for the history of what people were
// told.
func Texts() fs.FS { return files }
