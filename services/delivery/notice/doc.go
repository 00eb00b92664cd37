// Package notice tells people by e-mail what the law makes the company tell
// them: that their request arrived, what is still needed, that it takes longer,
// that it is refused and why, and what was done.
//
// What it promises its callers:
//
//   - Every notice has the parts the law demands of its kind, in every language
//     of the package, or it is not sent: a part that has nothing to say is an
//     error and never an empty line ([Mandatory] lists them with their rules).
//   - What was sent is kept, sealed, exactly as it was sent, before it goes out;
//     a second try sends the same words under the same message id.
//   - A notice counts as told once the company's mail server has taken it over,
//     and not before. What fails is tried again, and is shown until it succeeds.
//   - No address, name or text of a notice is in a log, an error or a metric.
package notice
