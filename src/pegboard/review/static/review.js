// Keys, and pages that change without a flash. Without this script every form and link works.
(() => {
  'use strict';
  const byId = (id) => document.getElementById(id);
  const KEYS = 'pegboard-review-keys';
  let busy = false;

  // --- going from page to page ----------------------------------------------------------

  const show = async (answer, push) => {
    const text = await answer.text();
    if (!(answer.headers.get('content-type') || '').startsWith('text/html')) {
      tell(text.trim() || `The server answered ${answer.status}.`);
      return;
    }
    const page = new DOMParser().parseFromString(text, 'text/html').getElementById('page');
    if (!page) { location.assign(answer.url); return; }
    byId('page').replaceWith(page);
    document.title = page.dataset.title;
    if (push && answer.url !== location.href) history.pushState(null, '', answer.url);
    const heading = byId('heading');
    const alarm = page.querySelector('[role=alert]');
    window.scrollTo(0, 0);
    if (heading) heading.focus({ preventScroll: true });
    tell([page.dataset.said, alarm && alarm.textContent, heading && heading.textContent]
      .filter(Boolean).join(' '));
    ready();
  };

  const tell = (text) => { byId('said').textContent = text; };

  const ask = async (url, options, push = true) => {
    if (busy) return;
    busy = true;
    document.documentElement.setAttribute('aria-busy', 'true');
    try {
      await show(await fetch(url, { credentials: 'same-origin', ...options }), push);
    } catch {
      tell('The server does not answer: pegboard review has ended. What was said to be saved is saved.');
    } finally {
      busy = false;
      document.documentElement.removeAttribute('aria-busy');
    }
  };

  document.addEventListener('submit', (event) => {
    const form = event.target;
    event.preventDefault();
    const data = new URLSearchParams(new FormData(form));
    const button = event.submitter;
    if (button && button.name) data.append(button.name, button.value);
    const url = form.getAttribute('action');
    if (form.method === 'post') ask(url, { method: 'POST', body: data });
    else ask(`${url}?${data}`);
  });

  document.addEventListener('click', (event) => {
    const link = event.target.closest('#page a[href^="/"]');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    ask(link.getAttribute('href'));
  });

  window.addEventListener('popstate', () => ask(location.href, {}, false));

  // --- keys -----------------------------------------------------------------------------

  const on = () => sessionStorage.getItem(KEYS) !== 'off';

  const switchKeys = () => {
    const button = byId('keys');
    document.documentElement.classList.toggle('keys-off', !on());
    if (!button) return;
    button.hidden = false;
    button.setAttribute('aria-pressed', String(on()));
    button.textContent = on() ? 'Single keys are on: turn off' : 'Single keys are off: turn on';
    button.onclick = () => { sessionStorage.setItem(KEYS, on() ? 'off' : 'on'); switchKeys(); };
  };

  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest('input:not([type=checkbox]), select, textarea');
    if (typing) {
      if (event.key === 'Escape' && !byId('matches')?.childElementCount) byId('heading')?.focus();
      return;
    }
    if (!on() || busy || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const found = [...document.querySelectorAll('[data-key]')]
      .find((each) => each.dataset.key.split(' ').includes(key));
    if (!found) return;
    event.preventDefault();
    if (found.matches('input')) { found.focus(); found.select(); } else found.click();
  });

  // --- choosing a class -----------------------------------------------------------------

  const combobox = () => {
    const input = byId('label');
    if (!input) return;
    const list = byId('matches');
    const form = input.form;
    const names = [...byId('classes').options].map((each) => each.value);
    let chosen = -1;
    input.removeAttribute('list');
    for (const [name, value] of Object.entries({
      role: 'combobox', 'aria-autocomplete': 'list', 'aria-controls': 'matches', 'aria-expanded': 'false',
    })) input.setAttribute(name, value);

    const matches = (text) => {
      const wanted = text.trim().toLowerCase();
      if (!wanted) return names.map((name) => ({ name }));
      const start = names.filter((name) => name.toLowerCase().startsWith(wanted));
      const inside = names.filter((name) => !start.includes(name) && name.toLowerCase().includes(wanted));
      const found = [...start, ...inside].map((name) => ({ name }));
      const exact = names.some((name) => name.toLowerCase() === wanted);
      return exact ? found : [...found, { name: text.trim(), fresh: true }];
    };

    const choose = (place) => {
      chosen = place;
      [...list.children].forEach((item, at) => item.setAttribute('aria-selected', String(at === place)));
      const item = list.children[place];
      if (item) { input.setAttribute('aria-activedescendant', item.id); item.scrollIntoView({ block: 'nearest' }); }
      else input.removeAttribute('aria-activedescendant');
    };

    const close = () => {
      list.replaceChildren();
      list.hidden = true;
      input.setAttribute('aria-expanded', 'false');
      choose(-1);
    };

    const open = () => {
      list.replaceChildren(...matches(input.value).map((match, at) => {
        const item = document.createElement('li');
        item.id = `match-${at}`;
        item.setAttribute('role', 'option');
        item.dataset.name = match.name;
        if (match.fresh) item.dataset.fresh = '1';
        item.textContent = match.fresh ? `New class: ${match.name}` : match.name;
        // Before the field loses its focus.
        item.addEventListener('mousedown', (event) => { event.preventDefault(); choose(at); take(); });
        return item;
      }));
      list.hidden = !list.childElementCount;
      input.setAttribute('aria-expanded', String(!list.hidden));
      choose(input.value.trim() && list.childElementCount ? 0 : -1);
    };

    const take = () => {
      const item = list.children[chosen];
      if (!item) return;
      input.value = item.dataset.name;
      form.elements.new.value = item.dataset.fresh || '';
      close();
      form.requestSubmit();
    };

    input.addEventListener('focus', open);
    input.addEventListener('input', () => { form.elements.new.value = ''; open(); });
    input.addEventListener('blur', close);
    input.addEventListener('keydown', (event) => {
      const last = list.childElementCount - 1;
      if (event.key === 'ArrowDown') { event.preventDefault(); if (list.hidden) open(); choose(Math.min(chosen + 1, last)); }
      else if (event.key === 'ArrowUp') { event.preventDefault(); choose(Math.max(chosen - 1, 0)); }
      else if (event.key === 'Enter' && chosen >= 0) { event.preventDefault(); take(); }
      else if (event.key === 'Escape' && !list.hidden) { event.preventDefault(); event.stopPropagation(); input.value = ''; close(); byId('heading').focus(); }
    });
  };

  const ready = () => { switchKeys(); combobox(); };
  ready();
  byId('heading')?.focus({ preventScroll: true });
})();
