// The hub over a real embedded database, woken by its notifications.
import { hubContract } from './hub-contract.ts'

hubContract('embedded')
