// What a page shows, as one JSON value; run by tab.py in an isolated world, so that the page's own scripts cannot
// change what this sees. What stands in inputs is nobody's business: it is masked before anything is read or drawn.
(maxText, maxHtml) => {
  const select = Document.prototype.querySelectorAll; // an element of the page may be named like a method
  const roots = [document];
  const all = (selector, limit) =>
    roots.flatMap(root => Array.from(root === document ? select.call(document, selector) : root.querySelectorAll(selector)))
      .slice(0, limit);
  const visible = node => {
    const box = node.getBoundingClientRect(), style = getComputedStyle(node);
    return box.width > 1 && box.height > 1 && style.visibility !== 'hidden' && style.opacity !== '0';
  };
  for (let at = 0; at < roots.length && at < 200; at++) {
    const nodes = at ? roots[at].querySelectorAll('*') : select.call(document, '*');
    for (let index = 0; index < nodes.length && index < 20000; index++)
      if (nodes[index].shadowRoot) roots.push(nodes[index].shadowRoot);
  }

  const mask = '\u2022'.repeat(8);
  const harmless = /^(?:submit|button|reset|image|checkbox|radio|range|color|file)$/;
  const textual = /^(?:text|password|textarea|hidden|search|tel|url)$/;
  for (const node of all('input, textarea', 5000)) {
    if (harmless.test(node.type)) continue;
    if (node.hasAttribute('value')) node.setAttribute('value', mask);
    if (node.tagName === 'TEXTAREA' && node.textContent) node.textContent = mask;
    try {
      if (!node.value) continue;
      if (!textual.test(node.type)) node.type = 'text'; // a number or date takes no such value
      node.value = mask;
    } catch (error) { /* a custom element with a value of its own */ }
  }

  const elements = select.call(document, '*').length;
  const body = document.body instanceof HTMLElement ? document.body : document.documentElement;
  let text = (body && (elements > 50000 ? body.textContent : body.innerText)) || '';
  for (const root of roots.slice(1))
    for (const node of Array.from(root.children).slice(0, 500))
      if (text.length < maxText && node instanceof HTMLElement && !/^(?:STYLE|SCRIPT)$/.test(node.tagName))
        text += '\n' + node.innerText;

  const kinds = 'img, svg, canvas, video, iframe, frame, object, embed, input, button, select, textarea';
  const broken = node => node.tagName === 'IMG' && node.complete && !node.naturalWidth;
  const waits = ['spinner', 'loader', 'loading'].flatMap(word => [`[class*=${word} i]`, `[id*=${word} i]`]);
  const times = performance.getEntriesByType('navigation')[0] || {};
  return {
    title: String(document.title || '').slice(0, 1000),
    text: text.slice(0, maxText),
    html: document.documentElement && maxHtml ? document.documentElement.outerHTML.slice(0, maxHtml) : '',
    elements,
    media: all(kinds, 300).filter(node => visible(node) && !broken(node)).length,
    password: all('input[type=password]', 50).some(visible),
    spinner: all(['[role=progressbar]', '[aria-busy=true]', 'progress', ...waits].join(), 100).some(visible),
    type: document.contentType,
    url: location.href,
    loaded: document.readyState === 'complete',
    times: [times.responseStart, times.domContentLoadedEventEnd, times.loadEventEnd],
  };
}
