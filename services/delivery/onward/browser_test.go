package onward_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/habeas-data/habeas/services/internal/browsertest"
	"github.com/habeas-data/habeas/services/request"
)

// A recipient's page in a real browser, on a phone and on a desk: it can be read
// and used by everybody, shows nobody before it is asked, and nobody after it was
// confirmed.
func TestPageInBrowser_DE3(t *testing.T) {
	r := newRig(t)
	b := browsertest.New(t)
	for i, width := range []int64{browsertest.Phone, browsertest.Desktop} {
		right := []request.Right{request.Delete, request.OptOutSaleShare}[i]
		o := r.add(right, request.Running, "mailer")
		b.Width(width)
		look := func(name string) {
			t.Helper()
			name = fmt.Sprintf("recipients/%s-%d", name, width)
			b.Shot(name)
			b.Accessible(name)
		}
		shows := func() bool { return b.Text(`String(document.body.innerText.includes("`+planted+`"))`) == "true" }
		b.Run(chromedp.Navigate(r.site.URL + r.path(o)))
		look("opened")
		if shows() {
			t.Error("the page shows the person before it is asked")
		}
		b.Run(chromedp.Click(`form[action$="/show"] button`))
		b.Wait(`document.body.innerText.includes("` + planted + `")`)
		look("shown")
		b.Run(chromedp.Focus(`button.primary`), chromedp.KeyEvent("\r")) // by keyboard alone
		b.Wait(`document.querySelector("[role=status]") !== null`)
		look("confirmed")
		if shows() {
			t.Error("the page shows the person after it was confirmed")
		}
		if got := r.row(o); got.State != request.OnwardAcknowledged {
			t.Errorf("%+v", got)
		}
	}
	b.Run(chromedp.Navigate(r.site.URL + "/recipients/x/y"))
	b.Shot("recipients/not-found")
	b.Accessible("recipients/not-found")
}
