"""How the page looks: light and dark, one column, readable on a phone."""

STYLE = """
:root { --ground: #fbfaf7; --card: #fff; --text: #24231f; --faint: #6b6961; --line: #e2dfd6;
  --bad: #b3261e; --look: #8a5a00; --fine: #2b6a3a; --unknown: #5a5f6b; }
@media (prefers-color-scheme: dark) { :root { --ground: #191917; --card: #232320; --text: #ecebe6;
  --faint: #a5a39a; --line: #3a3a35; --bad: #ff8a80; --look: #f0b955; --fine: #86cf97; --unknown: #b0b5c2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 17px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 44rem; margin: 0 auto; padding: 1.25rem; }
h1 { overflow-wrap: anywhere; font-size: 1.7rem; line-height: 1.2; margin: .5rem 0 0; }
h2 { font-size: 1.2rem; line-height: 1.35; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .5rem 0; }
a { color: inherit; }
.about { color: var(--faint); } details.about { margin-bottom: 1.25rem; overflow-wrap: anywhere; }
.note { border: 1px solid var(--look); border-radius: 8px; padding: .6rem .9rem; margin: 1rem 0; }
section, .summary { background: var(--card); border: 1px solid var(--line); border-left: 5px solid var(--unknown);
  border-radius: 8px; padding: 1rem 1.1rem; margin: 1rem 0; overflow-wrap: anywhere; }
.bad { border-left-color: var(--bad); } .look { border-left-color: var(--look); }
.fine { border-left-color: var(--fine); }
.head { font-size: 1.2rem; font-weight: 600; margin: 0 0 .4rem; }
.summary ul { list-style: none; margin: 0; padding: 0; }
.summary li { display: flex; justify-content: space-between; align-items: center; gap: .8rem; padding: .2rem 0; }
.badge { flex: none; display: inline-block; font-size: .8rem; font-weight: 600; white-space: nowrap;
  border: 1px solid currentColor; border-radius: 99px; padding: 0 .6em; vertical-align: middle; }
.badge.bad { color: var(--bad); } .badge.look { color: var(--look); }
.badge.fine { color: var(--fine); } .badge.unknown { color: var(--unknown); }
.result { font-size: 1.08rem; font-weight: 600; }
ol { margin: .25rem 0; padding-left: 1.4rem; }
figure { margin: .9rem 0; }
figcaption { color: var(--faint); font-size: .9rem; margin-bottom: .35rem; }
.plate { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 7rem)); gap: .4rem; }
.plate div { display: flex; flex-direction: column-reverse; justify-content: flex-start; }
.plate img { width: 100%; image-rendering: pixelated; display: block; }
.plate span { font-size: .78rem; color: var(--faint); line-height: 1.3; padding-bottom: .2rem; }
details { margin-top: .7rem; color: var(--faint); font-size: .9rem; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 400; padding-right: 1.5rem; }
th, td { vertical-align: top; }
"""
