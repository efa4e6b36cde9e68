// Every word of the pages. A translation is another object of the same shape.

const en = {
  title: '{view} · Counterfoil',
  name: 'Counterfoil',
  skip: 'Skip to the content',
  navLabel: 'Places',
  starting: 'One moment…',
  close: 'Close',
  cancel: 'Cancel',
  yes: 'Yes',
  more: 'Show more',
  none: '–',
  all: 'All',
  refused: 'Refused',
  silent: 'The cloud node does not answer. What is shown may be old; it is tried again by itself.',
  limited: 'Only the first {n} are shown: search, or choose a branch.',
  reading: 'Reading…',
  reasonLabel: 'Reason',
  age: { now: 'a moment', seconds: '{n} s', minutes: '{n} min', hours: '{n} h', days: '{n} days' },
  ago: '{age} ago',

  nav: {
    fleet: 'Fleet', stock: 'Stock', parked: 'Parked', catalog: 'Catalogue', orders: 'Orders', reports: 'Reports',
    log: 'Log',
  },
  bar: {
    label: 'Shop and connection',
    shop: 'Shop',
    branch: 'Branch',
    everywhere: 'All branches',
    live: 'Live',
    polling: 'Every 10 s',
    silent: 'No answer',
    out: 'Log out',
    outDone: 'Logged out.',
  },
  login: {
    title: 'Log in',
    lead: 'These pages are for whoever runs this shop’s tills.',
    token: 'Operator’s token',
    hint: 'It is the content of the file that the node was started with (--operator-token-file).',
    go: 'Log in',
    ended: 'Your session has ended: log in again.',
    life: 'A session ends after 12 hours, or after 30 minutes without a touch.',
    missing: 'Type the operator’s token first.',
  },
  noShop: {
    title: 'No shop yet',
    text: 'A shop is there once its first till is enrolled. Enrol it here, then install the till with the token '
      + 'that you get.',
  },

  // All tills.
  fleet: {
    title: 'Fleet',
    search: 'Search tills, branches, versions',
    column: {
      terminal: 'Till', state: 'State', needs: 'Look at', version: 'Program', seen: 'Last heard', pending: 'Waiting',
      clock: 'Clock', chain: 'Journal', forks: 'Forks', since: 'Enrolled', histories: 'Histories',
    },
    active: 'active',
    revoked: 'revoked',
    live: 'connected now',
    never: 'not yet',
    need: {
      clock: 'clock is off by {age}', waits: 'waits for {age}', silent: 'silent for {age}',
      forks: 'history parted', never: 'not heard yet',
    },
    ahead: '{age} ahead',
    behind: '{age} behind',
    onTime: 'on time',
    pendingNone: 'nothing',
    pending: '{n}, oldest {age}',
    pendingOnly: '{n}',
    chain: 'epoch {epoch}, entry {seq}',
    empty: 'No till is enrolled here. Enrol one, and install it with the token that you get.',
    found: 'Nothing is called that. Search for a till, a branch or a version.',
    count: '{n} tills',
    one: '1 till',
    attention: '{n} to look at',
    fine: 'nothing to look at',
    enrol: 'Enrol a till',
    plain: 'This node knows no more of its tills yet than that they are enrolled.',
  },
  enrol: {
    title: 'Enrol a till',
    terminal: 'Name of the till',
    shop: 'Shop',
    branch: 'Branch',
    hint: 'Letters, digits and signs, 36 at most. A till keeps its branch for ever.',
    go: 'Enrol',
    done: 'Token of {terminal}',
    once: 'It is shown this once. Give it to the till: terminal-node init --token-file FILE.',
    copy: 'Copy',
    copied: 'Copied.',
  },

  // One till.
  till: {
    back: 'All tills',
    branch: 'Branch',
    enrolled: 'Enrolled',
    expires: 'Credential ends',
    never: 'never',
    rotate: 'New credential',
    rotateAsk: 'Give {terminal} a new credential? The one that it has stops working at once: it sells on, and syncs '
      + 'again when it has the new one.',
    revoke: 'Revoke',
    revokeAsk: 'Revoke {terminal}? It sells on, but the cloud takes nothing of it until it is enrolled again.',
    revoked: '{terminal} is revoked.',
    admit: 'Let it in again',
    admitAsk: 'Enrol {terminal} again? It gets a new credential.',
    check: 'Check the catalogue',
    checked: 'Asked. The till answers when it next speaks to the cloud.',
    journal: 'Journal',
    journalLead: 'What the cloud holds of it. Each restored or copied database begins a history of its own.',
    journalEmpty: 'It has not greeted the cloud yet: start it, and look whether it reaches this node.',
    history: {
      epoch: 'Epoch', head: 'Entries', events: 'Posted', money: 'Taken', since: 'Since', seen: 'Last brought',
      parent: 'Continues', hash: 'Chain',
    },
    days: 'Days',
    daysEmpty: 'No register of it has opened its drawer with a session yet.',
    day: {
      session: 'Session', pos: 'Register', status: 'Cloud', sales: 'Sales', money: 'Taken', late: 'Late',
    },
    status: { open: 'open', confirmed: 'confirmed', difference: 'differs' },
    late: '{n} for {amount}',
    forks: 'Forks',
    forksLead: 'Where two histories parted: a database was restored, or copied. Both are kept.',
    forksEmpty: 'None: its history never parted.',
    fork: { at: 'Noticed', epoch: 'Left', common: 'In common up to', head: 'Cloud had', successor: 'Goes on in' },
    runs: 'Catalogue checks',
    runsEmpty: 'None yet. A check changes nothing by itself.',
    run: { asked: 'Asked', state: 'Result', summary: 'What was found' },
    runState: { asked: 'waiting for the till', clean: 'nothing differs', plan: 'differs', failed: 'failed' },
    showPlan: 'Show the plan',
    gone: 'There is no such till here: it may belong to another shop.',
  },
  plan: {
    title: 'What would change at {terminal}',
    lead: 'Nothing is changed from here: whoever stands at the till reads the same plan and applies it.',
    summary: '{change} to change, {add} to add, {remove} to remove, {keep} left as they are.',
    none: 'No plan came with it.',
    action: { insert: 'Add', update: 'Change', delete: 'Remove', keep: 'Leave' },
    kind: { product: 'Product', category: 'Category', customer: 'Customer', branchPrice: 'Branch price' },
    reason: {
      lost: 'The till has lost it.',
      drifted: 'The till has something else than the cloud.',
      unreadable: 'What the till has cannot be read.',
      deletedInCloud: 'It was deleted here.',
      unknownToCloud: 'It was never here for this branch.',
      editedHere: 'It was edited at the till; the cloud has not answered yet.',
      newInCloud: 'It has just changed here; it comes by itself.',
    },
    field: {
      name: 'Name', price: 'Price', tax: 'Tax', barcodes: 'Barcodes', unit: 'Unit', category: 'Category',
      sold: 'On sale',
    },
    nothing: 'nothing',
    yes: 'yes',
    no: 'no',
    unsynced: '{n} sales of it are not here yet. They stay as they are.',
  },

  // Stock.
  stock: {
    title: 'Stock',
    lead: 'The sum of everything that was sold, brought back, ordered and adjusted, as far as tills have told.',
    choose: 'Choose a branch above: every branch has its own stock.',
    filter: 'Which products',
    every: 'All products',
    negative: 'Below zero',
    column: { product: 'Product', stock: 'Stock', movements: 'Movements', flag: 'Flag', acts: '' },
    below: 'below zero',
    zero: 'none left',
    notice: 'low stock: look at it',
    adjust: 'Adjust',
    adjustLabel: 'Adjust {name}',
    settle: 'Settle',
    settleLabel: 'Settle the notification of {name}',
    settled: 'Settled.',
    empty: 'This branch has moved nothing yet. Enter what is on the shelves with “Adjust a product”.',
    emptyNegative: 'Nothing is below zero.',
    other: 'Adjust a product',
    notices: '{n} notifications to settle',
  },
  adjust: {
    title: 'Adjust the stock',
    product: 'Product number',
    way: 'What happened',
    add: 'Found or delivered',
    take: 'Lost, spoilt or counted less',
    quantity: 'Quantity',
    reason: 'Reason',
    go: 'Adjust',
    done: 'Adjusted: {name} by {quantity}.',
    bad: 'A quantity is above zero and has at most three decimals.',
  },

  // What waits for a person.
  parked: {
    title: 'Parked',
    lead: 'What tills have sold and the cloud could not post. It is kept, and blocks nothing else.',
    empty: 'Nothing waits for you.',
    since: 'waits since {time}',
    from: '{terminal}, register {pos}',
    why: 'Why',
    code: {
      POS_SYNC_PRODUCT_UNKNOWN: 'A product of it is not in the catalogue. Enter the product and retry, or accept it.',
      POS_SYNC_ORIGINAL_PENDING: 'It takes back a sale that is not posted itself. Decide that one first.',
      other: 'The cloud could not post it.',
    },
    accept: 'Accept',
    reject: 'Reject',
    retry: 'Retry',
    acceptTitle: 'Accept it as it is?',
    acceptLead: 'It is posted: it counts in the books and in the stock, whatever it waits for.',
    rejectTitle: 'Reject it for ever?',
    rejectLead: 'It never counts. The till shows it under “Attention” with your decision.',
    reasonNeeded: 'A rejection needs a reason.',
    posted: 'Posted: it counts now.',
    waits: 'It still waits: nothing has changed for it.',
    rejected: 'Rejected: it never counts.',
    total: 'Total',
    unreadable: 'It cannot be read: run cloud-node check.',
    kinds: {
      sale: 'Sale', refund: 'Refund', adjustment: 'Stock adjustment', sessionOpened: 'Drawer opened',
      cashMoved: 'Cash moved', sessionClosed: 'Drawer closed', catalogEdited: 'Catalogue edit',
    },
  },
  attention: { kinds: {}, other: 'Event' },

  // What can be sold.
  catalog: {
    title: 'Catalogue',
    search: 'Search by name, number or barcode',
    column: {
      name: 'Product', price: 'Price', tax: 'Tax', unit: 'Unit', category: 'Category', codes: 'Barcodes', acts: '',
    },
    off: 'not on sale',
    edit: 'Edit',
    editLabel: 'Edit {name}',
    branch: '{price} at {branch}',
    empty: 'There is no product yet. Import a file, or enter the first one.',
    found: 'No product is called that.',
    count: '{n} products shown',
    add: 'New product',
    import: 'Import CSV',
  },
  product: {
    edit: 'Edit the product',
    add: 'New product',
    id: 'Number (SKU)',
    name: 'Name',
    price: 'Price',
    priceIn: 'Price in {currency}',
    currency: 'Currency',
    tax: 'Tax in %',
    unit: 'Unit',
    barcodes: 'Barcodes, with spaces between them',
    active: 'On sale',
    go: 'Save',
    saved: 'Saved. Tills have it with their next sync.',
    same: 'That is what it was: nothing has changed.',
    badPrice: 'A price is written like {example}.',
    badTax: 'A tax rate is 0 to 100, with at most four decimals.',
  },
  importing: {
    title: 'Import products',
    lead: 'The first line names the columns: productId, name, price, currency, and if wanted taxPercent, unit, '
      + 'category, barcodes, active. A file with a mistake changes nothing.',
    file: 'CSV file',
    go: 'Import',
    missing: 'Choose a file first.',
    done: '{rows} products read, {changed} changed.',
  },

  // Online orders.
  orders: {
    title: 'Online orders',
    lead: 'What the online store sold from a branch. Its tills hear of it, and the stock goes down.',
    column: { order: 'Order', branch: 'Branch', made: 'Made', lines: 'What', state: 'State', acts: '' },
    taken: 'entered',
    cancelled: 'cancelled',
    others: '{n} other contents came under this number',
    cancel: 'Cancel',
    cancelLabel: 'Cancel order {order}',
    cancelAsk: 'Cancel order {order}? Its goods are in stock again.',
    cancelYes: 'Cancel the order',
    keep: 'Keep it',
    done: 'Order {order} is cancelled.',
    empty: 'No order yet. The online store enters them by itself; you can enter one here.',
    place: 'Enter an order',
    choose: 'Choose a branch above to enter an order.',
  },
  order: {
    title: 'Enter an order',
    id: 'Order number',
    product: 'Product number {n}',
    quantity: 'Quantity {n}',
    more: 'One more line',
    go: 'Enter',
    done: 'Order {order} is entered.',
    again: 'Order {order} was entered before: nothing has changed.',
    bad: 'Each line has a product, and a quantity above zero.',
  },
  buffer: {
    title: 'Safety buffer',
    lead: 'What the online store does not get to see of {branch}’s stock. Tills never see it.',
    share: 'Of every product, in %',
    product: 'Product number',
    fixed: 'Held back of it',
    set: 'Set',
    done: 'Set.',
    ask: 'Look up',
    shows: '{name}: {stock} in stock, the store shows {available}.',
    badShare: 'A share is 0 to 100, with at most four decimals.',
    empty: 'Leave it empty for no buffer.',
  },

  // Reports and the log.
  reports: {
    title: 'Sales',
    lead: 'What is in the books: refunds count against sales. Days are those of the receipts, in UTC.',
    from: 'From',
    to: 'To',
    by: 'Tell apart',
    day: 'days',
    branch: 'branches',
    product: 'products',
    go: 'Show',
    column: {
      day: 'Day', branch: 'Branch', product: 'Product', sales: 'Sales', refunds: 'Refunds', quantity: 'Quantity',
      money: 'Taken', share: '',
    },
    total: 'Together',
    empty: 'Nothing was sold in these days. Choose others, or another branch.',
  },
  log: {
    title: 'Log',
    lead: 'What operators did, the newest first. An action and its entry are one commit.',
    column: { at: 'When', actor: 'Who', action: 'What', target: 'To what', shop: 'Shop', done: 'Done' },
    done: 'done',
    not: 'not done',
    empty: 'Nobody has done anything yet.',
    action: {
      'terminal.enrol': 'enrolled a till', 'terminal.rotate': 'rotated a credential',
      'terminal.revoke': 'revoked a till', 'terminal.verify': 'asked for a catalogue check',
      'product.define': 'made a product known', 'catalog.edit': 'edited the catalogue',
      'catalog.import': 'imported products', 'parked.retry': 'retried an event',
      'parked.accept': 'accepted an event', 'parked.reject': 'rejected an event', 'stock.adjust': 'adjusted a stock',
      'notification.settle': 'settled a notification', 'order.place': 'entered an order',
      'order.cancel': 'cancelled an order', 'buffer.set': 'set a safety buffer', 'relay.set': 'set the relay',
      'user.add': 'added a user', 'user.revoke': 'revoked a user',
    },
  },
};

const words = en;

// A path may end with a name that has dots itself: `log.action.terminal.enrol`.
const find = (path) => path.split('.').reduce(
  ({ part, rest }, key) => {
    const name = rest ? `${rest}.${key}` : key;
    return part && typeof part === 'object' && name in part ? { part: part[name], rest: '' } : { part, rest: name };
  }, { part: words, rest: '' });

/** Returns a text by its path, with what stands between braces filled in. */
export function t(path, values = {}) {
  const { part, rest } = find(path);
  if (typeof part !== 'string' || rest) return path;
  return part.replace(/\{(\w+)\}/g, (whole, key) => (key in values ? String(values[key]) : whole));
}

/** Returns whether there is a text of this path. */
export function has(path) {
  const { part, rest } = find(path);
  return typeof part === 'string' && !rest;
}

export const language = 'en-GB';
