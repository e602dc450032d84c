// The feed over a real embedded database: folding, homes, moves, guests, pages, verification.
import { feedContract } from './feed-contract.ts'

feedContract('embedded')
