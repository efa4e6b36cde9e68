// Every word that the page shows, in one place. Another language is another table of this shape.

const en = {
  title: 'Till {terminal}',
  place: '{shop} · {branch} · register {pos}',
  nav: { sell: 'Sell', sales: 'Receipts', attention: 'Attention', drawer: 'Drawer', check: 'Catalogue' },
  navLabel: 'Parts of the till',

  // The bar at the top.
  bar: {
    label: 'State of the till',
    online: 'Online',
    offline: 'Offline',
    starting: 'Connecting',
    silent: 'Till not answering',
    pending: '{n} waiting',
    pendingNone: 'All sent',
    attention: 'Needs attention: {n}',
    oldest: 'oldest {age}',
    lastSuccess: 'Cloud heard {age} ago',
    never: 'Cloud not heard yet',
    safe: 'Safe to switch off',
    unsafe: 'Keep switched on',
    safeHint: 'The cloud durably holds everything that was recorded here.',
    unsafeHint: 'Some of it is on this machine only. It survives a power cut, but not the loss of the machine.',
    sync: 'Sync',
    syncing: 'Syncing…',
    syncLabel: 'Speak to the cloud now (F8)',
  },
  synced: {
    all: 'Everything is in the cloud.',
    rest: '{n} still waiting. The till goes on by itself.',
    failed: 'Not synced: {why}. Nothing is lost; the till tries again by itself.',
  },
  cause: {
    noNetwork: 'this machine has no network',
    noCloud: 'the cloud cannot be reached',
    notBelieved: 'the cloud has not shown a certificate that is believed',
    cloudTrouble: 'the cloud has trouble of its own',
    notEnrolled: 'the cloud does not listen to this till',
    slowDown: 'the cloud asked to slow down',
    notUnderstood: 'till and cloud do not understand each other: one of them needs an update',
    silent: 'the program of this till does not answer',
  },
  banner: {
    offline: 'Offline: {why}.',
    goOn: 'Sell on as usual. {n} kept here until it is back.',
    goOnNone: 'Sell on as usual. Everything is kept here until it is back.',
    silent: 'The program of this till does not answer. The basket is kept; the page goes on when it is back.',
  },
  age: { now: 'a moment', seconds: '{n} s', minutes: '{n} min', hours: '{n} h', days: '{n} days' },

  // Selling.
  sell: {
    search: 'Search by name, SKU or barcode',
    searchLabel: 'Search products (F2)',
    all: 'All',
    categories: 'Categories',
    products: 'Products',
    none: 'Nothing here is called that.',
    empty: 'There is no catalogue on this till yet. It comes with the first sync.',
    more: 'The first {n} are shown. Search to find the others.',
    unknownCode: 'No product has the code {code}.',
    choose: 'Which one is it?',
    added: '{name} added',
    perUnit: 'per {unit}',
    branchPrice: 'price of this branch',
    otherCurrency: 'The basket is in {have}; {name} is priced in {want}. Finish this sale first.',
    tooMuch: 'That is more than one sale can hold.',
  },
  basket: {
    title: 'Basket',
    empty: 'Scan or choose a product.',
    total: 'Total',
    items: '{n} lines',
    item: '1 line',
    pay: 'Pay {amount}',
    payLabel: 'Pay (F4)',
    clear: 'Empty',
    clearAsk: 'Empty the basket?',
    cleared: 'The basket is empty.',
    undo: 'Undo',
    more: 'One more {name}',
    less: 'One less {name}',
    edit: 'Change {name}',
    off: '{amount} off',
  },
  line: {
    title: 'Change the line',
    quantity: 'Quantity',
    quantityUnit: 'Quantity in {unit}',
    discount: 'Off the whole line',
    remove: 'Remove',
    save: 'Save',
    badQuantity: 'A quantity is above zero and has at most three decimals.',
    badDiscount: 'What is taken off is an amount, and not more than the line costs.',
  },

  // Paying.
  pay: {
    title: 'Payment',
    due: 'To pay',
    left: 'Still to pay',
    change: 'Change',
    given: 'Given',
    tender: { cash: 'Cash', card: 'Card', other: 'Other' },
    tenders: 'How it is paid',
    exact: 'Exact',
    add: 'Add part',
    done: 'Complete sale',
    free: 'Complete sale: nothing to pay',
    remove: 'Take this part back',
    badAmount: 'That is no amount.',
    tooMuch: 'Only cash can be more than what is due.',
    waiting: 'Recording…',
    silent: 'The program of this till does not answer. The sale is kept on this screen and is recorded '
      + 'once, as soon as it is back.',
    trouble: 'The till cannot record now: {why}. It is tried again.',
    refused: 'Not recorded: {why}',
    finished: 'A sale that was under way was finished.',
  },

  // Receipts.
  receipt: {
    title: 'Receipt',
    number: 'Receipt {number}',
    refund: 'Refund',
    of: 'for receipt {number}',
    total: 'Total',
    taxAt: 'incl. {rate} % tax',
    given: '{tender} given',
    change: 'Change',
    thanks: 'Thank you.',
    print: 'Print',
    next: 'Next customer',
    close: 'Close',
    giveBack: 'Return items',
    off: 'discount',
    returned: '{quantity} returned',
    register: 'Register {pos}, till {terminal}',
  },
  sales: {
    title: 'Receipts',
    find: 'Number, reference or name of a sale',
    findLabel: 'Find a receipt',
    go: 'Find',
    none: 'No receipt was found.',
    incomplete: 'Only the latest part of the journal was looked at.',
    sale: 'Sale',
    refund: 'Refund',
    register: 'register {pos}',
    state: { pending: 'waiting', needsAttention: 'needs attention', synced: 'in the cloud' },
    show: 'Show receipt {number}',
  },
  back: {
    title: 'Return items',
    hint: 'Receipt {number}. Choose what came back.',
    left: 'of {n}',
    nothing: 'All of it was returned already.',
    how: 'Money goes back as',
    done: 'Give back {amount}',
    choose: 'Choose at least one item.',
    all: 'All of it',
  },

  // What needs a person.
  attention: {
    title: 'Needs attention',
    none: 'Nothing needs attention.',
    why: 'Why',
    retry: 'Try again',
    retried: 'It is tried again now.',
    tries: 'tried {n} times',
    waiting: 'Waiting for the cloud',
    waitingNone: 'Nothing waits.',
    next: 'tried again by itself',
    kinds: {
      sale: 'Sale', refund: 'Refund', adjustment: 'Stock adjustment', sessionOpened: 'Drawer opened',
      cashMoved: 'Cash moved', sessionClosed: 'Drawer closed', catalogEdited: 'Catalogue edit',
    },
    other: 'Event',
  },

  // The drawer.
  drawer: {
    title: 'Drawer',
    closed: 'The drawer is closed. Sales are recorded all the same, but no session counts them.',
    open: 'Open the drawer',
    float: 'Cash in the drawer at the start',
    since: 'Open since {time}',
    sales: 'Sales',
    refunds: 'Refunds',
    turnover: 'Turnover',
    cashIn: 'Cash put in',
    cashOut: 'Cash taken out',
    move: 'Cash in or out',
    amount: 'Amount',
    reason: 'Reason',
    putIn: 'Put in',
    takeOut: 'Take out',
    moved: 'Noted.',
    close: 'Close of day',
    closeHint: 'Count what is there, then close. The cloud confirms it to the cent.',
    tender: 'Tender',
    expected: 'Expected',
    counted: 'Counted',
    difference: 'Difference',
    closeNow: 'Close the drawer',
    last: 'Last close: {time}',
    cloud: {
      waiting: 'The cloud has not confirmed it yet.',
      confirmed: 'Confirmed by the cloud to the cent.',
      difference: 'The cloud has other sums. Show this to the head office.',
    },
    badAmount: 'Every amount is written like {example}.',
  },

  // The catalogue against the cloud's.
  check: {
    title: 'Catalogue check',
    hint: 'Compares every product, price and customer on this till with the cloud. Nothing is changed until '
      + 'you have read the plan and apply it. Sales are never touched.',
    run: 'Compare with the cloud',
    running: 'Comparing…',
    clean: 'Nothing differs. The till has exactly the catalogue of the cloud.',
    summary: '{change} to change, {add} to add, {remove} to remove, {keep} left as they are.',
    whole: 'More differs than can be told one by one. Applying fetches the whole catalogue again.',
    apply: 'Apply the plan',
    confirm: 'This removes {n} of {all} entries. Apply it all the same?',
    confirmYes: 'Yes, apply',
    applied: 'Done. Comparing once more…',
    fetched: 'The whole catalogue is being fetched again.',
    action: { insert: 'Add', update: 'Change', delete: 'Remove', keep: 'Leave' },
    kind: { product: 'Product', category: 'Category', customer: 'Customer', branchPrice: 'Branch price' },
    reason: {
      lost: 'The till has lost it.',
      drifted: 'The till has something else than the cloud.',
      unreadable: 'What the till has cannot be read.',
      deletedInCloud: 'The head office has deleted it.',
      unknownToCloud: 'The head office never had it for this branch.',
      editedHere: 'It was edited here; the cloud has not answered yet.',
      newInCloud: 'The head office has just changed it; it comes by itself.',
    },
    field: {
      name: 'Name', price: 'Price', tax: 'Tax', barcodes: 'Barcodes', unit: 'Unit', category: 'Category',
      sold: 'On sale',
    },
    nothing: 'nothing',
    yes: 'yes',
    no: 'no',
    unsynced: '{n} sales of it are not in the cloud yet. They stay as they are.',
    sum: 'The till’s own count of its catalogue is put right.',
  },

  // Everything else.
  pair: {
    title: 'This screen is not paired with its till',
    how: 'On this machine run the command below and open the address that it prints.',
    command: 'terminal-node page --dir THE-TILL’S-DIRECTORY',
    paste: 'Or paste the content of the file api-token from the till’s directory:',
    token: 'Token',
    go: 'Pair',
    wrong: 'The till does not accept this token.',
  },
  elsewhere: {
    title: 'The till is open in another window',
    text: 'Two windows would share one basket.',
    here: 'Use this one',
  },
  starting: 'The till is starting…',
  cancel: 'Cancel',
  close: 'Close',
  ok: 'OK',
  yes: 'Yes',
  problem: '{detail}',
};

const words = en;

/** Returns a text by its path, with what stands between braces filled in. */
export function t(path, values = {}) {
  const text = path.split('.').reduce((part, key) => part?.[key], words);
  if (typeof text !== 'string') return path;
  return text.replace(/\{(\w+)\}/g, (whole, key) => (key in values ? String(values[key]) : whole));
}

/** Returns whether there is a text of this path. */
export function has(path) {
  return typeof path.split('.').reduce((part, key) => part?.[key], words) === 'string';
}

export const language = 'en-GB';
