// Package delivery makes the package that a person downloads in answer to a
// request to know: one zip with a report to read (report.html), the same data
// for machines (data.json, one CSV per store) and a manifest that says what is
// in it, what was withheld and why (Civ. Code 1798.130(a)(2)(A), (a)(3)(B)(iii)).
//
// What it promises its callers:
//
//   - All or nothing. Every sealed part is compared with the digest that its
//     connector signed before one byte of it is used; a part that is missing,
//     cut or altered fails the build, and the error names its connector and
//     object. A package is stored whole or not at all.
//   - What may never be disclosed is not disclosed (11 CCR 7024(d)). Connectors
//     withhold by field; here every value is looked at once more, by name and
//     by content. A hit is replaced by the type of the item and reported; if
//     the look cannot be taken, there is no package.
//   - Personal data touches no disk in clear. Parts wait in unlinked files as
//     they came, encrypted; the package is encrypted to one request's key.
//   - Memory does not grow with the number of records.
//
// Parts are objects "<job>/<run>/<n>" of a connector's export bucket: age-encrypted
// gzip of JSON Lines, first {"store","category"}, then one record a line,
// {"category","fields":[{"name","value"}, {"name","file"} or {"name","withheld"}]}.
package delivery
