// The live page: asks the admin API every two seconds, listens to its events, and steers backends.
'use strict';

const points = 40;           // per chart
const everyMs = 2000;
const history = new Map();   // backend key -> {requests: [], errors: [], latency: [], last}
const rows = new Map();      // backend key -> its row; rows are reused so that focus survives an update
let token = sessionStorage.getItem('token') || '';
let listening = false;

const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

async function ask(path, options = {}) {
  const headers = {...options.headers};
  if (token) headers.Authorization = 'Bearer ' + token;
  const response = await fetch(path, {...options, headers});
  byId('login').hidden = response.status !== 401;
  return response;
}

function say(text) {
  byId('notice').hidden = !text;
  byId('notice').textContent = text;
}

function number(n) { return n.toLocaleString('en'); }

function clock(text) { return new Date(text).toLocaleTimeString('en-GB'); }

// Renders one chart line as an SVG path in a 100x20 box.
function line(values, most) {
  if (values.length < 2) return '';
  return values.map((v, i) => (i ? 'L' : 'M') + (i * 100 / (points - 1)).toFixed(1) + ' ' +
    (19 - 18 * (most > 0 ? v / most : 0)).toFixed(1)).join('');
}

function chart(label) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 100 20');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', label);
  for (const name of ['values', 'errors']) {
    const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    path.setAttribute('class', name);
    svg.append(path);
  }
  return element('div', {class: 'chart'}, svg, element('span'));
}

function draw(cell, values, errors, text) {
  const most = Math.max(1e-9, ...values);
  cell.querySelector('path.values').setAttribute('d', line(values, most));
  cell.querySelector('path.errors').setAttribute('d', errors.some((e) => e > 0) ? line(errors, most) : '');
  cell.querySelector('span').textContent = text;
}

// Turns counters into rates.
function remember(key, b, now) {
  const seen = history.get(key) || {requests: [], errors: [], latency: []};
  const errors = b.answers['5xx'] + b.answers.failed;
  if (seen.last && now > seen.last.now && b.attempts >= seen.last.attempts) {
    const seconds = (now - seen.last.now) / 1000, more = b.attempts - seen.last.attempts;
    seen.requests.push(more / seconds);
    seen.errors.push((errors - seen.last.errors) / seconds);
    seen.latency.push(more > 0 ? (b.milliseconds - seen.last.milliseconds) / more : 0);
    for (const list of [seen.requests, seen.errors, seen.latency]) if (list.length > points) list.shift();
  }
  seen.last = {now, attempts: b.attempts, errors, milliseconds: b.milliseconds};
  history.set(key, seen);
  return seen;
}

const mood = {
  service: {all: 'good', bound: 'warn', none: 'bad'},
  admin: {ready: 'quiet', drain: 'warn', maint: 'bad'},
  health: {up: 'quiet', unknown: 'quiet', down: 'bad'},
  ejected: {no: 'quiet', new_sessions: 'warn', all: 'bad'},
};
const spelled = {
  service: {all: 'in service', bound: 'bound only', none: 'out of service'},
  ejected: {no: 'fine', new_sessions: 'no new', all: 'ejected'},
};

// Combines the three facts into one.
function service(b) { return b.accepts_new ? 'all' : b.accepts_bound ? 'bound' : 'none'; }

// The share of failed requests over the charts' time span; null if there were no requests.
function errorShare(seen) {
  const sum = (list) => list.reduce((a, v) => a + v, 0);
  const requests = sum(seen.requests);
  return requests > 0 ? Math.min(1, sum(seen.errors) / requests) : null;
}

function showErrors(cell, share) {
  const text = share === null ? '\u2013' : (share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0) + ' %';
  const kind = share === null || share === 0 ? 'quiet' : share < 0.05 ? 'warn' : 'bad';
  cell.replaceChildren(element('span', {class: 'fact ' + kind}, text));
}

function fact(kind, value, note) {
  const e = element('span', {class: 'fact ' + mood[kind][value]}, spelled[kind]?.[value] || value);
  if (kind === 'service' && value === 'bound') e.title = 'Keeps its sessions, takes no new ones';
  if (note) e.title = note;
  return e;
}

async function steer(pool, backend, admin) {
  say('');
  try {
    const response = await ask(`api/v1/pools/${encodeURIComponent(pool)}/backends/${encodeURIComponent(backend)}`,
      {method: 'PATCH', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({admin})});
    if (!response.ok) say((await response.json()).error);
  } catch (error) {
    say('No answer: ' + error.message);
  }
  await update();
}

function makeRow(pool, b) {
  const row = element('tr', {'data-backend': b.id});
  const cell = (name, label, kind) => {
    const td = element('td', {'data-cell': name, ...(kind && {class: kind})});
    if (label) td.setAttribute('data-label', label);
    row.append(td);
    return td;
  };
  const name = cell('name');
  name.append(element('strong', {}, b.id), element('span', {class: 'address'}));
  cell('service', 'Service');
  cell('admin', 'Operator');
  cell('health', 'Probes');
  cell('ejected', 'Traffic');
  cell('sessions', 'Sessions', 'number');
  cell('in_flight', 'In flight', 'number');
  cell('requests', 'Requests').append(chart('requests per second, errors in red'));
  cell('errors', 'Errors', 'number');
  cell('latency', 'Latency').append(chart('milliseconds to the first byte'));
  const buttons = cell('buttons', '', 'buttons');
  for (const wish of ['ready', 'drain', 'maint']) {
    const button = element('button', {type: 'button', 'data-wish': wish, 'aria-label': `${wish} ${pool}/${b.id}`}, wish);
    button.addEventListener('click', () => steer(pool, b.id, wish));
    buttons.append(button, ' ');
  }
  return row;
}

function fillRow(row, key, b, now, readOnly) {
  const cell = (name) => row.querySelector(`[data-cell=${name}]`);
  row.querySelector('.address').textContent = (b.name ? b.name + ' ' : '') + b.address + (b.backup ? ' (backup)' : '') +
    (b.vanished ? ' (left DNS)' : '');
  const until = b.deadline ? (b.deadline_passed ? ' (moving its sessions)' : ' until ' + clock(b.deadline)) : '';
  const admin = fact('admin', b.admin);
  admin.append(until);
  cell('service').replaceChildren(fact('service', service(b)));
  cell('admin').replaceChildren(admin);
  cell('health').replaceChildren(fact('health', b.health, b.health_note));
  cell('ejected').replaceChildren(fact('ejected', b.ejected));
  cell('sessions').textContent = number(b.sessions_left) + (b.complete ? '' : '+') +
    (b.max_sessions ? ' of ' + number(b.max_sessions) : '');
  cell('sessions').title = b.complete ? '' : 'At least: some may not have come by since this instance started';
  cell('in_flight').textContent = number(b.in_flight);
  const seen = remember(key, b, now);
  const rate = seen.requests.at(-1) || 0, ms = seen.latency.at(-1) || 0;
  draw(cell('requests'), seen.requests, seen.errors, rate.toFixed(rate < 10 ? 1 : 0) + ' /s');
  const share = errorShare(seen);
  showErrors(cell('errors'), share);
  row.classList.toggle('attention', service(b) !== 'all' || share > 0.01);
  draw(cell('latency'), seen.latency, [], ms.toFixed(ms < 10 ? 1 : 0) + ' ms');
  for (const button of row.querySelectorAll('button')) {
    const current = button.dataset.wish === b.admin;
    button.setAttribute('aria-pressed', current);
    button.disabled = readOnly;
  }
}

// Larger pools get compact rows, with backends that need attention first.
const many = 12;

function placeRow(section, row, grouped) {
  const wanted = section.querySelector(grouped && row.classList.contains('attention') ? 'tbody.first' : 'tbody.rest');
  // Moving a row would lose the focus, so wait until nothing in it is focused.
  if (row.parentNode !== wanted && (!row.parentNode || !row.contains(document.activeElement))) wanted.append(row);
}

function showSummary(section, pool) {
  const count = {all: 0, bound: 0, none: 0};
  for (const b of pool.backends) ++count[service(b)];
  const parts = [];
  for (const kind of ['all', 'bound', 'none'])
    if (count[kind] > 0)
      parts.push(element('span', {class: 'fact ' + mood.service[kind]}, `${number(count[kind])} ${spelled.service[kind]}`), ' ');
  section.querySelector('.summary').replaceChildren(...parts);
}

function applyFilter() {
  const words = byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean), only = byId('attention').checked;
  for (const row of rows.values()) {
    const text = row.dataset.search;
    row.hidden = (only && !row.classList.contains('attention')) || !words.every((w) => text.includes(w));
  }
  for (const section of document.querySelectorAll('section[data-pool]')) {
    const all = section.querySelectorAll('tr[data-backend]');
    const shown = [...all].filter((r) => !r.hidden).length;
    section.querySelector('.filtered').textContent = shown < all.length ? `${number(all.length - shown)} not shown` : '';
  }
}

function showPools(all, now) {
  const known = new Set();
  byId('tools').hidden = all.pools.reduce((n, pool) => n + pool.backends.length, 0) <= many;
  for (const pool of all.pools) {
    let section = document.querySelector(`section[data-pool="${CSS.escape(pool.name)}"]`);
    if (!section) {
      const head = element('tr', {}, ...['Backend', 'Service', 'Operator', 'Probes', 'Traffic', 'Sessions', 'In flight',
        'Requests', 'Errors', 'Latency', ''].map((t) => element('th', {scope: 'col'}, t)));
      section = element('section', {'data-pool': pool.name}, element('h2', {}), element('p', {class: 'summary'}),
        element('div', {class: 'scroll'}, element('table', {}, element('thead', {}, head),
          element('tbody', {class: 'first'}), element('tbody', {class: 'rest'}))),
        element('p', {class: 'filtered quiet'}));
      byId('pools').append(section);
    }
    section.querySelector('h2').textContent = `${pool.name}: ${number(pool.sessions)} sessions` +
      (pool.affinity.length ? ` by ${pool.affinity.join(', ')}` : ', no affinity') +
      (pool.serves_by_fallback ? '; nobody is in service, its fallback serves' : '');
    for (const b of pool.backends) {
      const key = pool.name + '\n' + b.id;
      known.add(key);
      if (!rows.has(key)) rows.set(key, makeRow(pool.name, b));
      const row = rows.get(key);
      fillRow(row, key, b, now, all.read_only);
      row.dataset.search = [pool.name, b.id, b.name || '', b.address, b.admin, b.health, spelled.ejected[b.ejected],
        spelled.service[service(b)]].join(' ').toLowerCase();
      placeRow(section, row, pool.backends.length > many);
    }
    section.classList.toggle('many', pool.backends.length > many);
    showSummary(section, pool);
  }
  for (const [key, row] of rows)
    if (!known.has(key)) {
      row.remove();
      rows.delete(key);
      history.delete(key);
    }
  for (const section of document.querySelectorAll('section[data-pool]'))
    if (!all.pools.some((p) => p.name === section.dataset.pool)) section.remove();
  applyFilter();
}

function showMoves(moves) {
  byId('no-moves').hidden = moves.length > 0;
  byId('moves').hidden = moves.length === 0;
  byId('moves').querySelector('tbody').replaceChildren(...moves.slice(0, 12).map((m) => element('tr', {},
    element('td', {}, clock(m.at)), element('td', {}, m.pool), element('td', {}, m.from), element('td', {}, m.to),
    element('td', {}, m.reason))));
}

async function update() {
  try {
    const [pools, sessions] = await Promise.all([ask('api/v1/pools'), ask('api/v1/sessions')]);
    if (pools.status === 401) {
      byId('state').textContent = 'a token is needed';
      return;
    }
    if (!pools.ok || !sessions.ok) throw new Error('status ' + pools.status);
    const all = await pools.json();
    byId('state').textContent = (all.ready ? 'ready' : 'stopping') + `, up ${number(all.uptime_seconds)} s, configuration ` +
      all.config_hash + (all.read_only ? ', read-only' : '');
    showPools(all, performance.now());
    showMoves((await sessions.json()).moves);
    if (!listening) listen();
  } catch (error) {
    byId('state').textContent = 'no answer; this shows what was last known';
  }
}

function showEvent(type, data) {
  byId('no-events').hidden = true;
  const {at, ...rest} = data;
  const text = Object.entries(rest).map(([k, v]) => `${k}: ${v}`).join(', ');
  byId('events').prepend(element('li', {}, element('time', {}, clock(at)), element('strong', {}, type), ' ' + text));
  while (byId('events').children.length > 50) byId('events').lastChild.remove();
}

// EventSource cannot send a token, so read the stream with fetch.
async function listen() {
  listening = true;
  try {
    const response = await ask('api/v1/events');
    if (!response.ok) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const {value, done} = await reader.read();
      if (done) break;
      text += value;
      for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
        const fields = Object.fromEntries(text.slice(0, end).split('\n').map((l) => l.split(/: (.*)/s)));
        if (fields.data) {
          showEvent(fields.event, JSON.parse(fields.data));
          update();
        }
      }
    }
  } catch (error) {
    // the next update retries
  } finally {
    listening = false;
  }
}

byId('login').addEventListener('submit', (event) => {
  event.preventDefault();
  token = byId('token').value;
  sessionStorage.setItem('token', token);
  update();
});

byId('tools').addEventListener('submit', (event) => event.preventDefault());
for (const id of ['filter', 'attention']) byId(id).addEventListener('input', applyFilter);

update();
setInterval(update, everyMs);
