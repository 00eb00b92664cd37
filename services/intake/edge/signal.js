// Honours Global Privacy Control and the visitor's own opt-out on this site.
//
// <script src="https://privacy.example.com/signal.js" data-cookies="_uid"></script>
//
// Put it first in <head>. Tags that sell or share are written as
// <script type="text/plain" data-habeas="sale" src="…"> and run only for a
// visitor who is not opted out, once the company's server has said so. When it
// can't be asked they don't run.
//
//   data-cookies   names of cookies that identify this browser
//   data-account   kind:value:proof of a logged-in account, from your server
//   [data-habeas-status]   shows the choice; its text is in data-honored
//   [data-habeas-optout]   a button or link: one click opts out
//
// window.habeas.optedOut is the choice; the event "habeas" on document says
// that it is known.
(function () {
  'use strict';
  var me = document.currentScript, set = me.dataset, doc = document, mark = 'habeas_optout';
  var base = set.endpoint || new URL('signal', me.src).href;
  var gpc = navigator.globalPrivacyControl === true;
  function cookie(name) {
    var m = ('; ' + doc.cookie).split('; ' + name + '=')[1];
    return m === undefined ? '' : m.split(';')[0];
  }
  var state = window.habeas = { optedOut: gpc || cookie(mark) === '1', gpc: gpc, known: false };
  function visitor() {
    var ids = (set.cookies || '').split(/[\s,]+/).filter(function (n) { return n && cookie(n); })
      .map(function (n) { return { kind: 'cookie_id', value: cookie(n) }; });
    var a = (set.account || '').match(/^([a-z_]+):(.+):([0-9a-f]{64})$/);
    if (a) ids.push({ kind: a[1], value: a[2], proof: a[3] });
    return ids;
  }
  function show() {
    var root = doc.documentElement;
    root.setAttribute('data-habeas', state.optedOut ? 'out' : 'in');
    doc.querySelectorAll('[data-habeas-status]').forEach(function (el) {
      el.textContent = state.optedOut ? el.getAttribute('data-honored') || 'Opt-Out Request Honored' : '';
    });
  }
  function release() {
    doc.querySelectorAll('script[type="text/plain"][data-habeas="sale"]').forEach(function (old) {
      var tag = doc.createElement('script');
      if (old.src) tag.src = old.src; else tag.textContent = old.textContent;
      tag.async = old.async;
      old.replaceWith(tag);
    });
  }
  function settle() {
    if (state.optedOut) doc.cookie = mark + '=1; path=/; max-age=63072000; SameSite=Lax' + (location.protocol === 'https:' ? '; Secure' : '');
    show();
    if (state.known && !state.optedOut) release();
    doc.dispatchEvent(new CustomEvent('habeas', { detail: state }));
  }
  function tell(click) {
    return fetch(base, {
      method: 'POST', keepalive: true, headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ identifiers: visitor(), gpc: gpc, opt_out: !!click || cookie(mark) === '1', usp: cookie('usprivacy') })
    }).then(function (r) { if (!r.ok) throw new Error(r.status); return r.json(); }).then(function (s) {
      state.optedOut = state.optedOut || s.opted_out;
      state.known = true;
    }).catch(function () {});
  }
  function ready(f) { if (doc.readyState === 'loading') doc.addEventListener('DOMContentLoaded', f); else f(); }
  show();
  tell(false).then(function () { ready(settle); });
  ready(function () {
    show();
    doc.addEventListener('click', function (e) {
      if (!e.target.closest('[data-habeas-optout]')) return;
      e.preventDefault();
      state.optedOut = true;
      settle();
      tell(true);
    });
  });
})();
