package browsertest

import "github.com/chromedp/cdproto/runtime"

// awaited waits for what a promise gives.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
