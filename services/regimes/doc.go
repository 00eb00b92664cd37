// Package regimes is privacy law as dated data: one file for each law, one for
// each calendar of business days, and the arithmetic that turns the moment a
// request arrived into the dates the law fixes for it.
//
// It promises never to guess. A law nobody described, a date outside what a
// file covers, or a year for which a calendar has no holidays is an error a
// caller can recognise, and a file that is not wholly understood does not load.
// The same receipt under the same versions gives the same dates for ever.
//
// Dates are counted without the day of receipt and with the last day
// (Civ. Code 10; Code Civ. Proc. 12). Nothing pauses a clock.
package regimes
